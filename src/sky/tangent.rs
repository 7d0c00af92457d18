//! The tangent-plane (gnomonic, TAN) world coordinates of a drizzled reference image.
//!
//! Calabretta & Greisen 2002, A&A 395, 1077, eqs. 1-5 and 54-55 with the native pole at the reference point
//! (LONPOLE 180): linear part by CD or by PC and CDELT, no distortion.

/// A TAN WCS: `crpix` in FITS pixels (the centre of the first pixel is 1), `crval_deg` and `cd_deg` in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tangent {
    pub crpix: [f64; 2],
    pub crval_deg: [f64; 2],
    pub cd_deg: [[f64; 2]; 2],
}

impl Tangent {
    /// Reads the WCS through a look-up of header keys; the error says which key is missing or not understood.
    pub fn from_cards<'a>(card: impl Fn(&str) -> Option<&'a str>) -> Result<Tangent, String> {
        let number = |key: &str| match card(key) {
            None => Ok(None),
            Some(text) => text.trim().parse::<f64>().map(Some).map_err(|_| format!("{key} is {text:?}, not a number")),
        };
        let need = |key: &str| number(key)?.ok_or_else(|| format!("{key} is missing"));
        for (key, wanted) in [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN")] {
            match card(key).map(str::trim_end) {
                Some(found) if found == wanted => {}
                found => return Err(format!("{key} is {}, wanted {wanted}", found.unwrap_or("missing"))),
            }
        }
        if number("LONPOLE")?.is_some_and(|pole| pole != 180.0) {
            return Err("LONPOLE is not 180".into());
        }
        let mut cd_deg = [[0.0; 2]; 2];
        let has_cd = number("CD1_1")?.is_some();
        for (i, row) in cd_deg.iter_mut().enumerate() {
            for (j, element) in row.iter_mut().enumerate() {
                let (i, j) = (i + 1, j + 1);
                *element = if has_cd {
                    number(&format!("CD{i}_{j}"))?.unwrap_or(0.0)
                } else {
                    let identity = if i == j { 1.0 } else { 0.0 };
                    need(&format!("CDELT{i}"))? * number(&format!("PC{i}_{j}"))?.unwrap_or(identity)
                };
            }
        }
        if cd_deg[0][0] * cd_deg[1][1] == cd_deg[0][1] * cd_deg[1][0] {
            return Err("the CD matrix is singular".into());
        }
        Ok(Tangent { crpix: [need("CRPIX1")?, need("CRPIX2")?], crval_deg: [need("CRVAL1")?, need("CRVAL2")?], cd_deg })
    }

    /// FITS pixel (1-based) to (ra, dec) in degrees, ra in [0, 360).
    pub fn pixel_to_sky(&self, x: f64, y: f64) -> (f64, f64) {
        let (dx, dy) = (x - self.crpix[0], y - self.crpix[1]);
        let xi = (self.cd_deg[0][0] * dx + self.cd_deg[0][1] * dy).to_radians();
        let eta = (self.cd_deg[1][0] * dx + self.cd_deg[1][1] * dy).to_radians();
        let (sin0, cos0) = self.crval_deg[1].to_radians().sin_cos();
        let d = cos0 - eta * sin0;
        let ra = self.crval_deg[0] + xi.atan2(d).to_degrees();
        let dec = (sin0 + eta * cos0).atan2(xi.hypot(d)).to_degrees();
        (ra.rem_euclid(360.0), dec)
    }
}
