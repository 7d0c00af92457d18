"""Pieces as jobs, through pyvo's reader of UWS; each piece equals what the synchronous service gives. jobs.py BASE"""

import csv
import io
import sys
import tarfile
import time
import urllib.parse

import numpy as np
import requests
from astropy.io import fits
from pyvo.io.uws import parse_job
from pyvo.io.vosi import parse_capabilities

base = sys.argv[1]
session = requests.Session()


def table(query):
    answer = session.get(f"{base}/tap/sync", params={"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def posted(path, data):
    answer = session.post(path if path.startswith("http") else base + path, data=data, allow_redirects=False)
    assert answer.status_code == 303, (answer.status_code, answer.text)
    return answer.headers["Location"]


def ended(url):
    for _ in range(120):
        job = parse_job(io.BytesIO(session.get(url, params={"WAIT": 30}).content))
        if job.phase not in ("PENDING", "QUEUED", "EXECUTING"):
            return job
    raise AssertionError("the job does not end")


def run(data):
    url = posted("/soda/async", data + [("PHASE", "RUN")])
    return url, ended(url)


def data_of(content):
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        return hdus[0].data.copy(), hdus[0].header["CUTOUT"], hdus[0].header["SIAREF"]


images = table("SELECT obs_publisher_did, obs_bandpass, s_ra, s_dec FROM ivoa.obscore ORDER BY em_min")
assert len(images) == 6
ids = [row["obs_publisher_did"] for row in images]
ra, dec = float(images[2]["s_ra"]), float(images[2]["s_dec"])
second = 1 / 3600

capabilities = parse_capabilities(io.BytesIO(session.get(f"{base}/soda/capabilities").content))
found = {capability.standardid: capability for capability in capabilities}
accessed = found["ivo://ivoa.net/std/SODA#async-1.0"].interfaces[0].accessurls[0].content
assert accessed == f"{base}/soda/async", accessed

# one piece: the result is the piece
url, job = run([("ID", ids[2]), ("CIRCLE", f"{ra} {dec} {second}")])
assert job.phase == "COMPLETED", job.errorsummary
one = session.get(job.results[0].href)
assert one.headers["Content-Type"] == "image/fits"
sync = session.get(f"{base}/soda/sync", params={"ID": ids[2], "CIRCLE": f"{ra} {dec} {second}"})
a, b = data_of(one.content), data_of(sync.content)
assert np.array_equal(a[0], b[0]) and a[1:] == b[1:]

# pieces by pieces: every region of every image, what is not there in the index only
regions = [("CIRCLE", f"{ra} {dec} {second}"), ("CIRCLE", f"{ra} {dec} {2 * second}"), ("POLYGON", f"{ra} {dec} {ra + second} {dec} {ra} {dec + second}"), ("POS", f"CIRCLE {ra + 5} {dec} {second}")]
url, job = run([("ID", i) for i in ids] + regions + [("ID", "ivo://x/y?z")])
assert job.phase == "COMPLETED", job.errorsummary
answer = session.get(job.results[0].href)
assert answer.headers["Content-Type"] == "application/x-tar"
with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
    files = {member.name: tar.extractfile(member).read() for member in tar}
index = list(csv.DictReader(io.StringIO(files.pop("index.csv").decode())))
assert len(index) == 7 * 4 and len(files) == 6 * 3, (len(index), len(files))
outcomes = [row["outcome"].split(":")[0] for row in index]
assert (outcomes.count("cut"), outcomes.count("no overlap"), outcomes.count("NotFoundFault")) == (18, 6, 4), outcomes
order = {"POS": 0, "CIRCLE": 1, "POLYGON": 2}
for row in index:
    if not row["file"]:
        continue
    kind, numbers = row["region"].split(" ", 1)
    sync = session.get(f"{base}/soda/sync", params={"ID": row["id"], kind: numbers})
    a, b = data_of(files[row["file"]]), data_of(sync.content)
    assert np.array_equal(a[0], b[0]) and a[1:] == b[1:], row

# bands choose among images; pictures come in a tar too
url, job = run([("ID", i) for i in ids] + [("BAND", "4.7e-7"), ("BAND", "8e-7"), ("CIRCLE", f"{ra} {dec} {second}"), ("RESPONSEFORMAT", "image/png")])
with tarfile.open(fileobj=io.BytesIO(session.get(job.results[0].href).content)) as tar:
    names = sorted(name for name in tar.getnames() if name != "index.csv")
    assert len(names) == 2 and "f475w" in names[0] and "f814w" in names[1], names
    assert tar.extractfile(names[0]).read(8) == b"\x89PNG\r\n\x1a\n"

# nothing in the region
url, job = run([("ID", ids[0]), ("CIRCLE", "200 10 0.001")])
assert job.phase == "COMPLETED" and session.get(job.results[0].href).status_code == 204

# what is wrong
for data, word in [
    ([("ID", "ivo://x/y")], "NotFoundFault"),
    ([("CIRCLE", "1 2 3")], "UsageFault"),
    ([("ID", ids[0]), ("CIRCLE", "1 2")], "UsageFault"),
    ([("ID", ids[0]), ("RESPONSEFORMAT", "image/gif")], "UsageFault"),
    ([("ID", i) for i in ids] + [("CIRCLE", f"{ra} {dec} {k * second}") for k in range(1, 11)], "60 pieces"),
]:
    url, job = run(data)
    assert job.phase == "ERROR" and word in job.errorsummary.message.content, (data, job.phase, job.errorsummary)
    assert word in session.get(url + "/error").text

# the tree of UWS
url = posted("/soda/async", [("ID", ids[0])])
assert session.get(url + "/phase").text == "PENDING"
assert posted(url + "/parameters", [("CIRCLE", f"{ra} {dec} {second}")]) == url
assert "CIRCLE" in session.get(url + "/parameters").text
assert url.rsplit("/", 1)[1] in session.get(base + "/soda/async").text
assert url.rsplit("/", 1)[1] not in session.get(base + "/tap/async").text
assert session.get(url.replace("/soda/", "/tap/")).status_code == 404
assert session.delete(url.replace("/soda/", "/tap/"), allow_redirects=False).status_code == 404
posted(url + "/phase", [("PHASE", "ABORT")])
assert session.get(url + "/phase").text == "ABORTED" and session.get(url + "/results/result").status_code == 404
posted(url, [("ACTION", "DELETE")])
assert session.get(url).status_code == 404
url = posted("/soda/async", [("ID", ids[0]), ("PHASE", "RUN"), ("DESTRUCTION", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2)))])
deadline = time.time() + 60
while session.get(url).status_code != 404:
    assert time.time() < deadline, "its destruction did not come"
    time.sleep(1)
upload = session.post(f"{base}/soda/async", files={"x": b"y"}, data={"ID": ids[0]})
assert upload.status_code == 400, upload.text
print("fine")
