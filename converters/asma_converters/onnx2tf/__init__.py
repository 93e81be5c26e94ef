"""The other route to TFLite: onnx2tf, in an environment of its own, called as a program and checked like a stranger."""
