-- The images of the file at path $1: root text, bytes bigint, mtime_ns bigint, has_sha256 boolean.
select root, bytes, mtime_ns, sha256 is not null as has_sha256 from brickyard.image where path = $1
