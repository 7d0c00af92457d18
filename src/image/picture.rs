//! Pictures for people: greys of one image, colours of three, as PNG or JPEG.
//!
//! Rows of a picture run from the top, those of an image from the bottom. Values that are not numbers are black.
//! Colours are those of Lupton et al. 2004 (PASP 116, 133): the brightness is stretched by asinh, the ratios of the filters
//! stay, so that bright stars keep their colour.

use super::Error;
use super::stretch::{Curve, Cuts, part};
use rayon::prelude::*;

/// Eight bits a channel: one channel or three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    /// Row by row from the top.
    pub bytes: Vec<u8>,
}

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Png,
    Jpeg,
}

/// How three filters become colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lupton {
    /// How far above the sky the middle greys lie, in units of the filters' own brightness range.
    pub stretch: f64,
    /// Softening: 0 is linear, large is logarithmic.
    pub q: f64,
}

impl Default for Lupton {
    fn default() -> Self {
        Lupton { stretch: 0.35, q: 8.0 }
    }
}

impl Picture {
    /// Greys of `values`, row by row from the bottom, `width` to a row.
    pub fn grey(values: &[f32], width: usize, cuts: Cuts, curve: Curve) -> Picture {
        let height = values.len() / width.max(1);
        let mut bytes = vec![0; width * height];
        if let Some((black, white)) = cuts.of(values) {
            bytes.par_chunks_exact_mut(width).zip(values.par_chunks_exact(width).rev()).for_each(|(line, row)| {
                for (byte, value) in line.iter_mut().zip(row) {
                    let t = ((f64::from(*value) - black) / (white - black)).clamp(0.0, 1.0);
                    *byte = (curve.at(t) * 255.0).round() as u8; // NaN becomes 0
                }
            });
        }
        Picture { width, height, channels: 1, bytes }
    }

    /// Colours of three images on the same pixels: red, green, blue. Each is taken above its own sky and in units of its
    /// own bright end, so that none drowns the others.
    pub fn colour(bands: [&[f32]; 3], width: usize, lupton: Lupton) -> Picture {
        let height = bands[0].len() / width.max(1);
        let levels = bands.map(|band| {
            let sky = part(band, 0.5).unwrap_or(0.0);
            // the brightest few pixels are star cores, whose share depends on the seeing only
            let bright = part(band, 0.998).unwrap_or(1.0);
            (sky, if bright > sky { bright - sky } else { 1.0 })
        });
        let mut bytes = vec![0; width * height * 3];
        bytes.par_chunks_exact_mut(width * 3).enumerate().for_each(|(line_number, line)| {
            let row = (height - 1 - line_number) * width;
            for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
                let value = |k: usize| {
                    let value = (f64::from(bands[k][row + x]) - levels[k].0) / levels[k].1;
                    if value.is_finite() { value } else { 0.0 }
                };
                pixel.copy_from_slice(&lupton.rgb([value(0), value(1), value(2)]));
            }
        });
        Picture { width, height, channels: 3, bytes }
    }

    /// Makes three channels of one.
    pub fn into_rgb(self) -> Picture {
        if self.channels == 3 {
            return self;
        }
        let bytes = self.bytes.iter().flat_map(|&byte| [byte; 3]).collect();
        Picture { channels: 3, bytes, ..self }
    }

    pub fn encode(&self, encoding: Encoding) -> Result<Vec<u8>, Error> {
        let wish = |what: String| Error::Wish { what };
        let mut out = Vec::new();
        match encoding {
            Encoding::Png => {
                let size = |n: usize| {
                    u32::try_from(n).map_err(|_| wish(format!("a picture of {} x {} pixels is too large for PNG", self.width, self.height)))
                };
                let mut encoder = png::Encoder::new(&mut out, size(self.width)?, size(self.height)?);
                encoder.set_color(if self.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
                encoder.set_depth(png::BitDepth::Eight);
                encoder.set_compression(png::Compression::Fast);
                let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.bytes));
                written.map_err(|error| wish(format!("cannot encode the PNG: {error}")))?;
            }
            Encoding::Jpeg => {
                let size = |n: usize| {
                    u16::try_from(n).map_err(|_| {
                        wish(format!("a picture of {} x {} pixels is too large for JPEG: ask for PNG", self.width, self.height))
                    })
                };
                let colour = if self.channels == 1 { jpeg_encoder::ColorType::Luma } else { jpeg_encoder::ColorType::Rgb };
                let encoder = jpeg_encoder::Encoder::new(&mut out, 90);
                encoder
                    .encode(&self.bytes, size(self.width)?, size(self.height)?, colour)
                    .map_err(|error| wish(format!("cannot encode the JPEG: {error}")))?;
            }
        }
        Ok(out)
    }
}

impl Lupton {
    /// Bytes of three values above the sky.
    fn rgb(self, values: [f64; 3]) -> [u8; 3] {
        // at 1 / 10 of the stretch asinh is still linear: the curve goes through 0.1 there, and grows to 1 slowly
        const FRACTION: f64 = 0.1;
        let mean = values.iter().sum::<f64>() / 3.0;
        if mean <= 0.0 {
            return [0; 3];
        }
        let slope = FRACTION / (FRACTION * self.q).asinh();
        let factor = (mean * self.q / self.stretch).asinh() * slope / mean;
        let scaled = values.map(|value| (value * factor).max(0.0));
        let most = scaled.into_iter().fold(1.0, f64::max);
        scaled.map(|value| (value / most * 255.0).round() as u8)
    }
}
