"""Asynchronous queries and uploads through pyvo and astroquery. Usage: uws_clients.py TAP_URL"""

import io
import sys
import time
import warnings

import numpy as np
import pyvo
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

warnings.simplefilter("error")
warnings.simplefilter("ignore", AstropyWarning)
warnings.simplefilter("ignore", DeprecationWarning)
warnings.simplefilter("ignore", ResourceWarning)
url = sys.argv[1]


def pyvo_async():
    service = pyvo.dal.TAPService(url)
    job = service.submit_job("SELECT TOP 7 table_name, column_name FROM TAP_SCHEMA.columns", runid="a <run>")
    assert job.phase == "PENDING", job.phase
    assert job.owner in (None, ""), job.owner
    job.execution_duration = 60
    assert float(str(job.execution_duration)) == 60, job.execution_duration
    job.run()
    job.wait(timeout=30)
    assert job.phase == "COMPLETED", job.phase
    assert len(job.fetch_result()) == 7
    assert [r for r in job.result_uris] and job.result_uri.endswith("/results/result"), job.result_uris
    ids = [j.jobid for j in service.get_job_list(last=2)]
    assert job.job_id in ids, ids
    again = pyvo.dal.AsyncTAPJob(job.url)
    assert again.phase == "COMPLETED"
    gone = job.url
    job.delete()
    try:
        pyvo.dal.AsyncTAPJob(gone)
    except Exception as error:
        assert "was deleted" in str(error), error
    else:
        raise AssertionError("the job is still there")

    started = time.monotonic()
    assert len(service.run_async("SELECT TOP 3 table_name FROM TAP_SCHEMA.tables")) == 3
    print(f"pyvo run_async {time.monotonic() - started:.2f} s")
    job = service.submit_job("SELECT nonsense FROM TAP_SCHEMA.tables").run()
    job.wait(timeout=30)
    assert job.phase == "ERROR"
    try:
        job.raise_if_error()
    except pyvo.dal.DALQueryError as error:
        assert "nonsense" in str(error), error
    else:
        raise AssertionError("no error was raised")
    job = service.submit_job("SELECT TOP 1 table_name FROM TAP_SCHEMA.tables")
    job.abort()
    assert job.phase == "ABORTED"
    job.delete()


def sample(rows=50):
    rng = np.random.default_rng(1)
    table = Table()
    table["id"] = np.arange(rows, dtype=np.int64) + 2**62
    table["short"] = np.arange(rows, dtype=np.int16)
    table["x"] = rng.normal(size=rows)
    table["f"] = rng.normal(size=rows).astype(np.float32)
    table["name"] = [f"star {i} ü" for i in range(rows)]
    table["ra"] = rng.uniform(0, 360, rows)
    table["dec"] = rng.uniform(-90, 90, rows)
    table["Mixed Case \"q\""] = np.arange(rows, dtype=np.int32)
    return table


def same(result, table):
    result.sort("id")
    assert len(result) == len(table), (len(result), len(table))
    for name in table.colnames:
        assert np.all(result[name] == table[name]), name


def pyvo_upload():
    service = pyvo.dal.TAPService(url)
    table = sample()
    for run in (service.run_sync, service.run_async):
        same(run("SELECT * FROM TAP_UPLOAD.mine", uploads={"mine": table}).to_table(), table)
    other = table["id", "x"]
    other.rename_column("x", "y")
    two = "SELECT a.id, a.x, b.y FROM TAP_UPLOAD.a AS a JOIN TAP_UPLOAD.b AS b ON a.id = b.id"
    joined = service.run_async(two, uploads={"a": table, "b": other}).to_table()
    assert len(joined) == len(table) and np.all(joined["x"] == joined["y"])


def astroquery_async():
    from astroquery.utils.tap.core import TapPlus

    tap = TapPlus(url=url)
    job = tap.launch_job_async("SELECT TOP 4 table_name FROM TAP_SCHEMA.columns")
    assert len(job.get_results()) == 4
    table = sample()
    table.remove_column('Mixed Case "q"')  # it reads IDs for names
    file = io.BytesIO()
    table.write(file, format="votable")
    path = sys.argv[2] + "/upload.vot"
    with open(path, "wb") as to:
        to.write(file.getvalue())
    query = "SELECT * FROM TAP_UPLOAD.mine"
    for launch in (tap.launch_job, tap.launch_job_async):
        job = launch(query, upload_resource=path, upload_table_name="mine")
        same(job.get_results(), table)
    for launch in (tap.launch_job, tap.launch_job_async):
        job = launch(query, upload_resource=table, upload_table_name="mine")
        same(job.get_results(), table)


for test in (pyvo_async, pyvo_upload, astroquery_async):
    test()
    print(test.__name__, "fine")
