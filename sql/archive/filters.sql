-- The filters through which images of the collection of the image named $1 may show the position $2, $3 (degrees): filter text, by name.
select distinct other.filter
from brickyard.image as one, brickyard.image as other
where one.name = $1 and other.collection = one.collection and other.filter is not null
  and 2 * asind(least(1, sqrt(power(sind((other.dec - $3) / 2), 2) + cosd(other.dec) * cosd($3) * power(sind((other.ra - $2) / 2), 2)))) <= other.radius_deg
order by other.filter
