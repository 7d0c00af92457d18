-- The table of images and the view ivoa.obscore of it (ObsCore 1.1). Takes nothing, returns nothing; may be run again at any time, also
-- by two at once. The view's URLs and identifiers are those of the service that asks: brickyard.base_url and brickyard.authority are
-- settings of its sessions. Its last four columns are not published: they are for the index on the footprints.
begin;
select pg_catalog.pg_advisory_xact_lock(7120314162);
create schema if not exists brickyard;
create schema if not exists ivoa;
create table if not exists brickyard.image (
    -- the configured folder (its real path), and the file's path in it
    root text not null,
    path text not null,
    hdu integer not null,
    -- how clients name it: the path, percent-encoded, and the HDU after a slash
    name text not null unique,
    -- the last part of the path, which is siaRef
    file text not null,
    bytes bigint not null,
    mtime_ns bigint not null,
    -- null where it was not asked for
    sha256 text,
    -- ZCMPTYPE, or gzip; null for none
    compression text,
    bitpix smallint not null,
    -- lengths of the axes
    naxis bigint[] not null,
    ra double precision not null,
    dec double precision not null,
    -- of the circle about ra, dec that holds the image
    radius_deg double precision not null,
    -- corners of the image's edge: longitude, latitude, longitude, ..., degrees, ICRS
    footprint double precision[] not null,
    scale_arcsec double precision not null,
    collection text not null,
    obs_id text not null,
    title text not null,
    calib_level integer not null,
    facility text,
    instrument text,
    filter text,
    em_min_m double precision,
    em_max_m double precision,
    exptime_s double precision,
    t_min_mjd double precision,
    t_max_mjd double precision,
    proposal text,
    target text,
    unit text,
    brick smallint,
    field smallint,
    -- the bounds of the footprint on the unit sphere, in steps of 1e-9
    reach_x int4range not null,
    reach_y int4range not null,
    reach_z int4range not null,
    added_at timestamptz not null default now(),
    primary key (path, hdu)
);
create index if not exists image_file_idx on brickyard.image (file);
create index if not exists image_reach_idx on brickyard.image using gist (reach_x, reach_y, reach_z);
create or replace view ivoa.obscore as
select 'image'::text as dataproduct_type,
       calib_level,
       collection as obs_collection,
       obs_id,
       site.did || name as obs_publisher_did,
       -- the service decodes once, so that what is encoded in the identifier must be encoded again
       site.url || '/datalink/links?ID=' || site.did || replace(name, '%', '%25') as access_url,
       'application/x-votable+xml;content=datalink'::text as access_format,
       (bytes + 999) / 1000 as access_estsize,
       target as target_name,
       ra as s_ra,
       dec as s_dec,
       2 * radius_deg as s_fov,
       'POLYGON ICRS ' || array_to_string(footprint, ' ') as s_region,
       naxis[1] as s_xel1,
       naxis[2] as s_xel2,
       null::double precision as s_resolution,
       t_min_mjd as t_min,
       t_max_mjd as t_max,
       exptime_s as t_exptime,
       exptime_s as t_resolution,
       1::bigint as t_xel,
       em_min_m as em_min,
       em_max_m as em_max,
       (em_min_m + em_max_m) / 2 / nullif(em_max_m - em_min_m, 0) as em_res_power,
       1::bigint as em_xel,
       'phot'::text as o_ucd,
       null::text as pol_states,
       null::bigint as pol_xel,
       facility as facility_name,
       instrument as instrument_name,
       title as obs_title,
       proposal as proposal_id,
       scale_arcsec as s_pixel_scale,
       unit as o_unit,
       filter as obs_bandpass,
       brick,
       field,
       footprint as s_region_corners,
       reach_x as s_region_x,
       reach_y as s_region_y,
       reach_z as s_region_z
from brickyard.image,
     lateral (select coalesce(current_setting('brickyard.base_url', true), '') as url,
                     'ivo://' || coalesce(nullif(current_setting('brickyard.authority', true), ''), 'brickyard.invalid') || '/images?' as did
             ) as site;
commit;
