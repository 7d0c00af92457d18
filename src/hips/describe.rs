//! What stands beside the tiles: properties, coverage, the sky on one page, and a page that shows it.

use super::tile::{self, SIDE, Tile};
use super::{Error, Work, sample};
use crate::sky::healpix;
use moc::deser::fits::keywords::MocType;
use moc::elemset::range::MocRanges;
use moc::moc::range::RangeMOC;
use moc::moc::{RangeMOCIntoIterator, RangeMOCIterator};
use moc::qty::Hpx;
use std::fmt::Write;
use std::ops::Range;

/// What the images are, for people and for registries.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// `ivo://authority/path`
    pub id: String,
    /// `PHAT F475W`
    pub title: String,
    pub collection: Option<String>,
    pub band_m: Option<[f64; 2]>,
    pub times_mjd: Option<[f64; 2]>,
    /// `2026-01-31T12:00Z`
    pub date: String,
}

/// Orders that have an Allsky, and the pixels of a tile on it.
const ALLSKY_ORDERS: u8 = 3;
const THUMBNAIL: usize = 64;
/// Where Aladin Lite is fetched from by who looks at the page.
const ALADIN: &str = "https://aladin.cds.unistra.fr/AladinLite/api/v3/latest/aladin.js";

impl Work<'_> {
    /// Writes all of it; `properties` last, as clients look for it first.
    pub fn describe(&self, deepest: &[u64], about: &About) -> Result<(), Error> {
        for order in 0..=ALLSKY_ORDERS.min(self.order) {
            self.allsky(order, deepest)?;
        }
        let moc = moc(self.order, deepest);
        let mut bytes = Vec::new();
        let fraction = (&moc).into_range_moc_iter().coverage_percentage();
        drop((&moc).into_range_moc_iter().to_fits_ivoa(Some(about.id.clone()), Some(MocType::Image), &mut bytes)); // a Vec takes everything
        tile::whole(&self.out.join("Moc.fits"), &bytes)?;
        let view = self.view(deepest)?;
        tile::whole(&self.out.join("index.html"), page(about, view, self.order).as_bytes())?;
        tile::whole(&self.out.join("properties"), self.properties(deepest, about, view, fraction).as_bytes())
    }

    /// All tiles of an order on one picture, in rows from the top left.
    fn allsky(&self, order: u8, deepest: &[u64]) -> Result<(), Error> {
        let count = healpix::cell_count(order) as usize;
        let columns = count.isqrt();
        let rows = count.div_ceil(columns);
        let width = columns * THUMBNAIL;
        let mut values = vec![f32::NAN; width * rows * THUMBNAIL];
        for pix in self.of_order(order, deepest) {
            let thumbnail = Tile::read(&self.file(order, pix, "fits"))?.thumbnail(THUMBNAIL);
            // rows of the values are counted from the bottom
            let (column, row) = (pix as usize % columns, rows - 1 - pix as usize / columns);
            for (line, part) in thumbnail.chunks_exact(THUMBNAIL).enumerate() {
                let at = (row * THUMBNAIL + line) * width + column * THUMBNAIL;
                values[at..at + THUMBNAIL].copy_from_slice(part);
            }
        }
        let folder = self.out.join(format!("Norder{order}"));
        tile::whole(&folder.join("Allsky.fits"), &tile::fits(tile::image_header(width, rows * THUMBNAIL), &values))?;
        tile::whole(&folder.join("Allsky.png"), &self.greys()?.png(&values, width)?)
    }

    /// Where to look first: the middle of the tiles and their extent, degrees.
    fn view(&self, deepest: &[u64]) -> Result<View, Error> {
        let wish = |error: crate::sky::Error| Error::Wish { what: error.to_string() };
        let mut sum = [0.0; 3];
        for pix in deepest {
            let (ra, dec) = healpix::nest_center_deg(self.order, *pix).map_err(wish)?;
            (0..3).zip(direction(ra, dec)).for_each(|(k, part)| sum[k] += part);
        }
        let (ra_deg, dec_deg) = (sum[1].atan2(sum[0]).to_degrees().rem_euclid(360.0), sum[2].atan2(sum[0].hypot(sum[1])).to_degrees());
        let middle = direction(ra_deg, dec_deg);
        let mut least = 1.0_f64;
        for pix in deepest {
            let (ra, dec) = healpix::nest_center_deg(self.order, *pix).map_err(wish)?;
            least = least.min(middle.iter().zip(direction(ra, dec)).map(|(a, b)| a * b).sum());
        }
        let tile_deg = sample::pixel_deg(self.order) * SIDE as f64;
        let fov_deg = (2.0 * least.clamp(-1.0, 1.0).acos().to_degrees() + tile_deg).min(180.0);
        Ok(View { ra_deg, dec_deg, fov_deg })
    }

    fn properties(&self, deepest: &[u64], about: &About, view: View, sky_fraction: f64) -> String {
        let mut text = String::new();
        let mut add = |key: &str, value: String| writeln!(text, "{key:20} = {value}").expect("a String takes everything");
        add("creator_did", about.id.clone());
        add("obs_title", about.title.clone());
        if let Some(collection) = &about.collection {
            add("obs_collection", collection.clone());
        }
        add("dataproduct_type", "image".into());
        if let Some([low, high]) = about.band_m {
            add("em_min", low.to_string());
            add("em_max", high.to_string());
        }
        if let Some([first, last]) = about.times_mjd {
            add("t_min", first.to_string());
            add("t_max", last.to_string());
        }
        add("hips_version", "1.4".into());
        add("hips_builder", concat!("brickyard/", env!("CARGO_PKG_VERSION")).into());
        add("hips_creation_date", about.date.clone());
        add("hips_release_date", about.date.clone());
        add("hips_status", "public master clonableOnce".into());
        add("hips_frame", "equatorial".into());
        add("hips_order", self.order.to_string());
        add("hips_order_min", "0".into());
        add("hips_tile_width", SIDE.to_string());
        add("hips_tile_format", "png fits".into());
        add("hips_pixel_bitpix", "-32".into());
        add("hips_pixel_scale", sample::pixel_deg(self.order).to_string());
        add("hips_sampling", "bilinear".into());
        add("hips_overlay", "mean".into());
        add("hips_hierarchy", "mean".into());
        if let Some(look) = &self.look {
            add("hips_pixel_cut", format!("{} {}", look.black, look.white));
            add("hips_data_range", format!("{} {}", look.range[0], look.range[1]));
        }
        let scale_deg = self.sights.iter().map(|sight| sight.scale_deg).fold(f64::INFINITY, f64::min);
        add("s_pixel_scale", scale_deg.to_string());
        add("hips_initial_ra", view.ra_deg.to_string());
        add("hips_initial_dec", view.dec_deg.to_string());
        add("hips_initial_fov", view.fov_deg.to_string());
        add("moc_order", self.order.to_string());
        add("moc_sky_fraction", sky_fraction.to_string());
        // a tile with its picture, in KB
        add("hips_estsize", (self.all(deepest).len() * 1300).to_string());
        text
    }
}

fn direction(ra_deg: f64, dec_deg: f64) -> [f64; 3] {
    let ((sin_ra, cos_ra), (sin_dec, cos_dec)) = (ra_deg.to_radians().sin_cos(), dec_deg.to_radians().sin_cos());
    [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
}

/// What a page shows first.
#[derive(Debug, Clone, Copy)]
struct View {
    ra_deg: f64,
    dec_deg: f64,
    fov_deg: f64,
}

/// The coverage: the cells of the deepest tiles.
fn moc(order: u8, deepest: &[u64]) -> RangeMOC<u64, Hpx<u64>> {
    let shift = 2 * (29 - u32::from(order));
    let ranges: Vec<Range<u64>> = deepest.iter().map(|pix| pix << shift..(pix + 1) << shift).collect();
    RangeMOC::new(order, MocRanges::new_from(ranges))
}

/// A page with Aladin Lite, whose script its visitors fetch from the CDS.
fn page(about: &About, view: View, order: u8) -> String {
    let escaped: String = about
        .title
        .chars()
        .map(|c| match c {
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '&' => "&amp;".into(),
            c => c.to_string(),
        })
        .collect();
    // a `<` in a script could end it
    let quoted = |text: &str| serde_json::Value::from(text).to_string().replace('<', "\\u003c");
    let View { ra_deg, dec_deg, fov_deg } = view;
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped}</title>
<style>html, body, #sky {{ margin: 0; width: 100%; height: 100%; }} #none {{ font: 1rem sans-serif; padding: 1rem; }}</style>
</head>
<body>
<div id="sky"></div>
<p id="none" hidden>{escaped} is a HiPS: give its URL, this one without index.html, to Aladin or another client. Aladin Lite, which would show
it here, could not be fetched.</p>
<script src="{ALADIN}" charset="utf-8"></script>
<script>
if (typeof A === "undefined") {{
  document.getElementById("none").hidden = false;
}} else {{
  A.init.then(() => {{
    const sky = A.aladin("#sky", {{ target: "{ra_deg:.6} {dec_deg:.6}", fov: {fov_deg:.6}, cooFrame: "ICRSd", showCooGridControl: true }});
    const root = new URL(".", location.href).href.replace(/\/$/, "");
    sky.setOverlayImageLayer(A.imageHiPS(root, {{ name: {name}, imgFormat: "png", maxOrder: {order}, cooFrame: "ICRS" }}));
  }});
}}
</script>
</body>
</html>
"##,
        name = quoted(&about.title),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_cannot_leave_their_place_on_the_page() {
        let about = About { title: "</script><b>&\"".into(), ..About::default() };
        let page = page(&about, View { ra_deg: 11.0, dec_deg: 41.0, fov_deg: 0.1 }, 13);
        assert!(page.contains("&lt;/script&gt;&lt;b&gt;&amp;") && page.contains(r#"name: "\u003c/script>\u003cb>&\"","#), "{page}");
    }
}
