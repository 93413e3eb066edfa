# Checks ONNX models by the checker of python3-onnx, shapes and types included. Usage: check_onnx.py FILES
import sys

try:
    import onnx
except ImportError:
    sys.exit(77)

for file in sys.argv[1:]:
    try:
        onnx.checker.check_model(file, full_check=True)
    except Exception as error:
        print(file, str(error), file=sys.stderr)
        sys.exit(1)
