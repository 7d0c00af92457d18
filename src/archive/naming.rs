//! What the file names of PHAT's images at MAST tell: brick, field, proposal, filter.
//!
//! `hlsp_phat_hst_acs-wfc_12056-m31-b15_f475w_v1_drz.fits` is a mosaic of a brick, `..-b15-f10_..` one of a field. Ends such as `.gz`
//! and `.fz` are not looked at.

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phat {
    pub proposal: String,
    pub brick: i16,
    pub field: Option<i16>,
    /// Lower case.
    pub filter: String,
}

/// Reads the name of a file; `None` if it is none of PHAT's images.
pub fn phat(file: &str) -> Option<Phat> {
    let lower = file.to_ascii_lowercase();
    let rest = lower.strip_prefix("hlsp_phat_hst_")?;
    let mut words = rest.split('_');
    let (_camera, place, filter) = (words.next()?, words.next()?, words.next()?);
    let mut parts = place.split('-');
    let proposal = parts.next().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
    if parts.next() != Some("m31") {
        return None;
    }
    let number = |text: &str, letter: char| text.strip_prefix(letter)?.parse::<i16>().ok().filter(|n| (1..=99).contains(n));
    let brick = number(parts.next()?, 'b')?;
    let field = match parts.next() {
        Some(text) => Some(number(text, 'f')?),
        None => None,
    };
    let is_filter = filter.starts_with('f') && filter.len() < 12 && filter.bytes().all(|b| b.is_ascii_alphanumeric());
    is_filter.then(|| Phat { proposal: proposal.to_owned(), brick, field, filter: filter.to_owned() })
}

impl Phat {
    /// `phat-b15-f10-f475w`
    pub fn obs_id(&self) -> String {
        let field = self.field.map(|field| format!("-f{field:02}")).unwrap_or_default();
        format!("phat-b{:02}{field}-{}", self.brick, self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_bricks_and_fields_are_read_and_others_are_not() {
        let brick = phat("hlsp_phat_hst_acs-wfc_12056-m31-b15_f475w_v1_drz.fits").unwrap();
        assert_eq!((brick.brick, brick.field, brick.proposal.as_str(), brick.obs_id().as_str()), (15, None, "12056", "phat-b15-f475w"));
        let field = phat("hlsp_phat_hst_wfc3-ir_12058-m31-b01-f08_f110w_v1_drz.fits.gz").unwrap();
        assert_eq!((field.field, field.obs_id().as_str()), (Some(8), "phat-b01-f08-f110w"));
        for name in ["m31.fits", "hlsp_phat_hst_acs-wfc_12056-m33-b15_f475w_v1_drz.fits", "hlsp_phat_hst_acs-wfc_x-m31-b15_f475w_v1.fits"] {
            assert_eq!(phat(name), None, "{name}");
        }
    }
}
