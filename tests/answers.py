"""The judge of tests/votable.rs: reads an answer of any kind and says its values, one JSON line a row, NULL as null.

    answers.py KIND FILE

Floats are written by repr, so that a value that was rounded on its way differs. NaN and infinities are texts.
"""

import json
import sys
import warnings

import numpy as np


def plain(value):
    """A value of any reader as JSON has it."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, np.ma.MaskedArray):
        # astropy masks every NaN of an array
        elements = value.data if value.dtype.kind == "f" else value
        return [plain(v) for v in elements] if value.ndim else plain(value[()])
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (np.float32, np.float64, float)):
        if not np.isfinite(value):
            return {True: "NaN"}.get(bool(np.isnan(value)), "Infinity" if value > 0 else "-Infinity")
        return float(str(value))
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def votable(path):
    from astropy.io.votable import parse
    from astropy.io.votable.exceptions import W47

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # a single character has no arraysize: STILTS asks for that, astropy would rather see "1"
        warnings.simplefilter("ignore", W47)
        document = parse(path, verify="exception")
    table = document.get_first_table()
    notes = [f"{info.name}={info.value}" for resource in document.resources for info in resource.infos if info.name == "QUERY_STATUS"]
    fields = [[f.name, f.datatype, f.arraysize, f.xtype, str(f.unit or ""), f.ucd, f.ref, f.description] for f in table.fields]
    print(json.dumps({"version": document.version, "status": notes, "fields": fields}))
    for index in range(len(table.array)):
        yield [cell(table, name, index) for name in table.array.dtype.names]


def cell(table, name, index):
    """None where it is masked; but a float is what it is, as astropy masks every NaN."""
    value = table.array.data[name][index]
    if isinstance(value, np.floating):
        return value
    mask = np.asarray(table.array.mask[name][index])
    is_masked = bool(mask.all()) if mask.size else bool(mask.shape == () and mask)
    return None if is_masked else table.array[name][index]


def fits(path):
    from astropy.io import fits

    with fits.open(path, character_as_bytes=True, logical_as_bytes=True) as hdus:
        hdus.verify("exception")
        table = hdus[1]
        print(json.dumps({"status": table.header["QSTATUS"], "text": table.header.get("QSTATEXT", ""), "rows": table.header["NAXIS2"]}))
        forms = [(table.header.get(f"TNULL{n}"), "L" in table.header[f"TFORM{n}"]) for n in range(1, len(table.columns) + 1)]
        for row in table.data:
            yield [stored(value, *form) for value, form in zip(row, forms)]


def stored(value, null, is_logical):
    """What FITS means by a value: TNULL, and T, F and 0 of logicals."""
    if isinstance(value, np.ndarray):
        return [stored(v, null, is_logical) for v in value]
    if is_logical:
        return {b"T": True, b"F": False}.get(bytes(value))
    if null is not None and isinstance(value, np.integer) and value == null:
        return None
    return value


def parquet(path):
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    metadata = {key.decode(): value.decode() for key, value in pq.read_metadata(path).metadata.items()}
    print(json.dumps({"status": metadata["QUERY_STATUS"], "text": metadata.get("QUERY_STATUS_TEXT", "")}))
    assert metadata["IVOA.VOTable-Parquet.version"] == "1.0"
    yield from (list(row.values()) for row in table.to_pylist())


def arrow(path):
    import pyarrow.ipc as ipc

    with ipc.open_stream(path) as reader:
        yield from (list(row.values()) for row in reader.read_all().to_pylist())


if __name__ == "__main__":
    readers = {"votable": votable, "fits": fits, "parquet": parquet, "arrow": arrow}
    for row in readers[sys.argv[1]](sys.argv[2]):
        print(json.dumps([plain(value) for value in row], ensure_ascii=False))
