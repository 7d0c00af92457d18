-- Every file with images: root text, path text, bytes bigint, mtime_ns bigint, sha256 text, by path.
select distinct root, path, bytes, mtime_ns, sha256 from brickyard.image order by path
