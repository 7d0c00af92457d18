-- Images through the filter $2 whose circle holds the position $3, $4 (degrees), of the collection of the image named $1: first those of
-- its brick and field, then those whose pixels are most like its own. At most 10: all columns of brickyard.image.
select other.*
from brickyard.image as one, brickyard.image as other
where one.name = $1 and other.collection = one.collection and upper(other.filter) = upper($2)
  and 2 * asind(least(1, sqrt(power(sind((other.dec - $4) / 2), 2) + cosd(other.dec) * cosd($4) * power(sind((other.ra - $3) / 2), 2)))) <= other.radius_deg
order by other.brick is not distinct from one.brick and other.field is not distinct from one.field desc,
         other.brick is not distinct from one.brick desc, abs(ln(other.scale_arcsec / one.scale_arcsec)), other.path, other.hdu
limit 10
