"""Runs a notebook against the service of BRICKYARD_URL: argv[1] is the notebook, argv[2] a folder for its pictures.

Prints what the cells printed; a cell that fails ends it with that cell's traceback.
"""

import base64
import pathlib
import sys

import nbclient
import nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
pictures = 0
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            print(output.text, end="")
        picture = output.get("data", {}).get("image/png")
        if picture:
            pictures += 1
            pathlib.Path(sys.argv[2], f"{pictures}.png").write_bytes(base64.b64decode(picture))
print(pictures, "pictures")
