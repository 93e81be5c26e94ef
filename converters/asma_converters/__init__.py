"""From a trained student to a verified int8 bundle, compared at every step.

>>> from asma_converters import convert
>>> report = convert(StudentFile.load("student.pt"), Path("home.tflite"))
"""

from asma_converters.convert import convert, convert_file
from asma_converters.errors import ConversionError, GateError, GraphError
from asma_converters.report import ConversionReport

__all__ = ["ConversionError", "ConversionReport", "GateError", "GraphError", "convert", "convert_file"]
