"""The skeletons that estimators and data sets use: joints in the order of their arrays, and the bones between them."""

from __future__ import annotations

from typing import NamedTuple


class KnownLayout(NamedTuple):
    """One skeleton in words separated by blanks; `asma_edge.skeleton` makes a `Layout` of it.

    Attributes:
        joints: names in array order.
        edges: ``a-b`` pairs of names.
        origin: joints whose mean is the origin after centring; empty means the graph's centre.
    """

    joints: str
    edges: str
    origin: str = ""


_ARMS_AND_LEGS = (
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle "
)
_COCO_TRUNK = "left_shoulder-nose right_shoulder-nose left_hip-left_shoulder right_hip-right_shoulder "
_SHOULDERS = "left_shoulder right_shoulder"

KNOWN_LAYOUTS = {
    "ntu25": KnownLayout(  # Kinect v2, NTU RGB+D, PKU-MMD, IRDS
        "spine_base spine_mid neck head left_shoulder left_elbow left_wrist left_hand right_shoulder "
        "right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot right_hip right_knee "
        "right_ankle right_foot spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb",
        _ARMS_AND_LEGS + "spine_base-spine_mid spine_mid-spine_shoulder neck-spine_shoulder head-neck "
        "left_shoulder-spine_shoulder right_shoulder-spine_shoulder left_hand-left_wrist "
        "right_hand-right_wrist left_hip-spine_base right_hip-spine_base left_foot-left_ankle "
        "right_foot-right_ankle left_hand_tip-left_thumb left_thumb-left_hand right_hand_tip-right_thumb "
        "right_thumb-right_hand",
    ),
    "kinect20": KnownLayout(  # Kinect v1
        "hip_center spine shoulder_center head left_shoulder left_elbow left_wrist left_hand "
        "right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot "
        "right_hip right_knee right_ankle right_foot",
        _ARMS_AND_LEGS + "hip_center-spine spine-shoulder_center head-shoulder_center "
        "left_shoulder-shoulder_center right_shoulder-shoulder_center left_hand-left_wrist "
        "right_hand-right_wrist left_hip-hip_center right_hip-hip_center left_foot-left_ankle "
        "right_foot-right_ankle",
        "shoulder_center",
    ),
    "coco17": KnownLayout(  # MoveNet, YOLO-pose, RTMPose
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
        "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
        _ARMS_AND_LEGS + _COCO_TRUNK + "left_eye-nose right_eye-nose left_ear-left_eye right_ear-right_eye",
        _SHOULDERS,
    ),
    "mediapipe33": KnownLayout(  # MediaPipe Pose landmarks
        "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear "
        "right_ear left_mouth right_mouth left_shoulder right_shoulder left_elbow right_elbow left_wrist "
        "right_wrist left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip "
        "right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index "
        "right_foot_index",
        _ARMS_AND_LEGS + _COCO_TRUNK + "left_eye_inner-nose right_eye_inner-nose left_eye-left_eye_inner "
        "right_eye-right_eye_inner left_eye_outer-left_eye right_eye_outer-right_eye "
        "left_ear-left_eye_outer right_ear-right_eye_outer left_mouth-nose right_mouth-nose "
        "left_pinky-left_wrist right_pinky-right_wrist left_index-left_wrist right_index-right_wrist "
        "left_thumb-left_wrist right_thumb-right_wrist left_heel-left_ankle right_heel-right_ankle "
        "left_foot_index-left_ankle right_foot_index-right_ankle",
        _SHOULDERS,
    ),
    "openpose18": KnownLayout(
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip "
        "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear",
        _ARMS_AND_LEGS + "nose-neck left_shoulder-neck right_shoulder-neck left_hip-neck right_hip-neck "
        "left_eye-nose right_eye-nose left_ear-left_eye right_ear-right_eye",
        _SHOULDERS,
    ),
    "openpose25": KnownLayout(  # BODY_25
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist pelvis "
        "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
        "left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
        _ARMS_AND_LEGS + "nose-neck left_shoulder-neck right_shoulder-neck pelvis-neck left_hip-pelvis "
        "right_hip-pelvis left_eye-nose right_eye-nose left_ear-left_eye right_ear-right_eye "
        "left_big_toe-left_ankle left_small_toe-left_big_toe left_heel-left_ankle "
        "right_big_toe-right_ankle right_small_toe-right_big_toe right_heel-right_ankle",
        _SHOULDERS,
    ),
    "h36m17": KnownLayout(  # Human3.6M
        "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax nose head "
        "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
        _ARMS_AND_LEGS + "right_hip-pelvis left_hip-pelvis spine-pelvis thorax-spine nose-thorax head-nose "
        "left_shoulder-thorax right_shoulder-thorax",
        "thorax",
    ),
    "body13": KnownLayout(  # what all of the above share
        "head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip "
        "right_hip left_knee right_knee left_ankle right_ankle",
        _ARMS_AND_LEGS + _COCO_TRUNK.replace("nose", "head"),
        _SHOULDERS,
    ),
}


def shape_hint(shape: tuple[int, ...]) -> str:
    """What to do about a pose whose ``(V, C)`` does not fit: it may be of another layout."""
    names = [name for name, known in KNOWN_LAYOUTS.items() if shape == (len(known.joints.split()), 3)]
    if names:
        return f"if the poses are of {' or '.join(names)}, say so: layout=..., or --layout of asma-edge"
    return "one row of three numbers a joint, in the layout's joint order; NaN marks a missing joint"
