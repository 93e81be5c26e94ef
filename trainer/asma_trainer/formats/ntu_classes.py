"""Class names of NTU RGB+D 120 in the order of their numbers; the first 60 are those of NTU RGB+D 60."""

from __future__ import annotations

NTU_CLASSES: tuple[str, ...] = (
    # 1-40: daily actions
    "drink water", "eat meal", "brush teeth", "brush hair", "drop", "pick up", "throw", "sit down", "stand up", "clap",
    "read", "write", "tear up paper", "put on jacket", "take off jacket", "put on a shoe", "take off a shoe",
    "put on glasses", "take off glasses", "put on a hat or cap", "take off a hat or cap", "cheer up", "wave a hand",
    "kick something", "reach into pocket", "hop", "jump up", "phone call", "play with phone or tablet",
    "type on a keyboard", "point to something", "take a selfie", "check time", "rub two hands", "nod or bow",
    "shake head", "wipe face", "salute", "put palms together", "cross hands in front",
    # 41-49: medical conditions
    "sneeze or cough", "stagger", "fall down", "headache", "chest pain", "back pain", "neck pain", "nausea or vomiting",
    "fan self",
    # 50-60: two people
    "punch or slap someone", "kick someone", "push someone", "pat on someone's back", "point a finger at someone",
    "hug", "give an object", "touch someone's pocket", "shake hands", "walk towards each other", "walk apart",
    # 61-102: daily actions
    "put on headphones", "take off headphones", "shoot at a basket", "bounce a ball", "swing a tennis bat",
    "juggle table tennis balls", "hush", "flick hair", "thumb up", "thumb down", "make OK sign", "make victory sign",
    "staple a book", "count money", "cut nails", "cut paper", "snap fingers", "open a bottle", "sniff", "squat down",
    "toss a coin", "fold paper", "ball up paper", "play magic cube", "apply cream on face",
    "apply cream on the back of a hand", "put on a bag", "take off a bag", "put something into a bag",
    "take something out of a bag", "open a box", "move heavy objects", "shake a fist", "throw up a cap or hat",
    "put both hands up", "cross arms", "circle arms", "swing arms", "run on the spot", "butt kicks", "cross toe touch",
    "side kick",
    # 103-105: medical conditions
    "yawn", "stretch", "blow nose",
    # 106-120: two people
    "hit someone with something", "wield a knife at someone", "knock someone over", "grab someone's stuff",
    "shoot at someone with a gun", "step on someone's foot", "high-five", "cheers and drink",
    "carry something together", "take a photo of someone", "follow someone", "whisper in someone's ear",
    "exchange things", "support someone", "rock-paper-scissors",
)  # fmt: skip
