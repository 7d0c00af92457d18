//! The sphere projections of Calabretta & Greisen 2002 (A&A 395, 1077; "paper II") in native coordinates, both ways.
//!
//! (phi, theta) are native longitude and latitude, (x, y) the projection plane, all in degrees. Where several native
//! points share a plane point, or none has one, the answer is `None` outside the image that the paper defines.

use std::f64::consts::PI;

const D: f64 = PI / 180.0;

/// A projection with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Projection {
    /// Gnomonic, eq. 54.
    Tan,
    /// Slant orthographic, eqs. 59-67: xi and eta are PV2_1 and PV2_2.
    Sin { xi: f64, eta: f64 },
    /// Zenithal equidistant, eq. 67.
    Arc,
    /// Zenithal equal area, eq. 69.
    Zea,
    /// Stereographic, eq. 55.
    Stg,
    /// Zenithal polynomial, eq. 68: PV2_0 and on, and the colatitude (radians) up to which it grows.
    Zpn { terms: Vec<f64>, limit: f64 },
    /// Plate carree, eq. 83.
    Car,
    /// Mercator, eq. 87.
    Mer,
    /// Cylindrical equal area, eqs. 79-82: lambda is PV2_1.
    Cea { lambda: f64 },
    /// Sanson-Flamsteed, eq. 90.
    Sfl,
    /// Hammer-Aitoff, eqs. 105-108.
    Ait,
    /// Mollweide, eqs. 100-104.
    Mol,
}

impl Projection {
    /// The projection of a three-letter code; `pv(m)` gives the latitude axis' PVi_m.
    pub fn new(code: &str, pv: impl Fn(u32) -> Option<f64>) -> Result<Projection, String> {
        Ok(match code {
            "TAN" | "TPV" => Projection::Tan,
            "SIN" => Projection::Sin { xi: pv(1).unwrap_or(0.0), eta: pv(2).unwrap_or(0.0) },
            // NCP is SIN with eta = cot(dec0); the caller passes it as PV2_2
            "NCP" => Projection::Sin { xi: 0.0, eta: pv(2).unwrap_or(0.0) },
            "ARC" => Projection::Arc,
            "ZEA" => Projection::Zea,
            "STG" => Projection::Stg,
            "ZPN" => {
                let mut terms: Vec<f64> = (0..30).map(|m| pv(m).unwrap_or(0.0)).collect();
                while terms.last() == Some(&0.0) {
                    terms.pop();
                }
                if terms.len() < 2 {
                    return Err("ZPN needs at least PV2_1".into());
                }
                let limit = growing(&terms);
                Projection::Zpn { terms, limit }
            }
            "CAR" => Projection::Car,
            "MER" => Projection::Mer,
            "CEA" => match pv(1).unwrap_or(1.0) {
                lambda if lambda > 0.0 && lambda <= 1.0 => Projection::Cea { lambda },
                lambda => return Err(format!("CEA wants 0 < PV2_1 <= 1, got {lambda}")),
            },
            "SFL" | "GLS" => Projection::Sfl,
            "AIT" => Projection::Ait,
            "MOL" => Projection::Mol,
            other => {
                return Err(format!("the projection {other} is not one of TAN TPV SIN NCP ARC ZEA STG ZPN CAR MER CEA SFL GLS AIT MOL"));
            }
        })
    }

    /// Native latitude of the reference point: 90 for the zenithal ones, 0 for the others.
    pub fn theta0_deg(&self) -> f64 {
        match self {
            Self::Tan | Self::Sin { .. } | Self::Arc | Self::Zea | Self::Stg | Self::Zpn { .. } => 90.0,
            Self::Car | Self::Mer | Self::Cea { .. } | Self::Sfl | Self::Ait | Self::Mol => 0.0,
        }
    }

    /// Native (phi, theta) to the plane.
    pub fn plane(&self, phi_deg: f64, theta_deg: f64) -> Option<[f64; 2]> {
        let (phi, theta) = (phi_deg * D, theta_deg * D);
        let zenithal = |r_deg: f64| Some([r_deg * phi.sin(), -r_deg * phi.cos()]);
        match self {
            Self::Tan => {
                if theta > 0.0 {
                    zenithal(theta.cos() / theta.sin() / D)
                } else {
                    None
                }
            }
            Self::Sin { xi, eta } => {
                let (sin_phi, cos_phi) = phi.sin_cos();
                // the far side of the (slanted) sphere hides behind the near one
                if theta.sin() < -(xi * sin_phi - eta * cos_phi) * theta.cos() {
                    return None;
                }
                let z = 1.0 - theta.sin();
                Some([(theta.cos() * sin_phi + xi * z) / D, -(theta.cos() * cos_phi - eta * z) / D])
            }
            Self::Arc => zenithal(90.0 - theta_deg),
            Self::Zea => zenithal(2.0 / D * ((PI / 2.0 - theta) / 2.0).sin()),
            Self::Stg => {
                if theta > -PI / 2.0 {
                    zenithal(2.0 / D * ((PI / 2.0 - theta) / 2.0).tan())
                } else {
                    None
                }
            }
            Self::Zpn { terms, limit } => {
                let z = PI / 2.0 - theta;
                if z <= *limit { zenithal(polynomial(terms, z) / D) } else { None }
            }
            Self::Car => Some([phi_deg, theta_deg]),
            Self::Mer => {
                if theta.abs() < PI / 2.0 {
                    Some([phi_deg, ((PI / 2.0 + theta) / 2.0).tan().ln() / D])
                } else {
                    None
                }
            }
            Self::Cea { lambda } => Some([phi_deg, theta.sin() / lambda / D]),
            Self::Sfl => Some([phi_deg * theta.cos(), theta_deg]),
            Self::Ait => {
                let g = (2.0 / (1.0 + theta.cos() * (phi / 2.0).cos())).sqrt() / D;
                Some([2.0 * g * theta.cos() * (phi / 2.0).sin(), g * theta.sin()])
            }
            Self::Mol => {
                let gamma = mollweide(theta);
                Some([2.0 * 2f64.sqrt() / PI * phi_deg * gamma.cos(), 2f64.sqrt() / D * gamma.sin()])
            }
        }
    }

    /// The plane to native (phi, theta).
    pub fn native(&self, x_deg: f64, y_deg: f64) -> Option<[f64; 2]> {
        let r_deg = x_deg.hypot(y_deg);
        let zenithal = |theta_deg: f64| {
            let phi = if r_deg == 0.0 { 0.0 } else { x_deg.atan2(-y_deg) / D };
            Some([phi, theta_deg])
        };
        let within = |phi_deg: f64, theta_deg: f64| {
            (phi_deg.abs() <= 180.0 + 1e-9 && theta_deg.abs() <= 90.0 + 1e-9).then_some([phi_deg, theta_deg.clamp(-90.0, 90.0)])
        };
        match self {
            Self::Tan => zenithal((1.0 / D).atan2(r_deg) / D),
            Self::Sin { xi, eta } if *xi == 0.0 && *eta == 0.0 => {
                let r = r_deg * D;
                if r <= 1.0 { zenithal(near_acos(r) / D) } else { None }
            }
            Self::Sin { xi, eta } => slant(*xi, *eta, x_deg * D, y_deg * D),
            Self::Arc => {
                if r_deg <= 180.0 {
                    zenithal(90.0 - r_deg)
                } else {
                    None
                }
            }
            Self::Zea => {
                let s = r_deg * D / 2.0;
                if s <= 1.0 { zenithal(90.0 - 2.0 * s.asin() / D) } else { None }
            }
            Self::Stg => zenithal(90.0 - 2.0 * (r_deg * D / 2.0).atan() / D),
            Self::Zpn { terms, limit } => zenithal(90.0 - solve(terms, *limit, r_deg * D)? / D),
            Self::Car => (theta_ok(y_deg)).then_some([x_deg, y_deg]),
            Self::Mer => Some([x_deg, 2.0 * (y_deg * D).exp().atan() / D - 90.0]),
            Self::Cea { lambda } => {
                let s = y_deg * D * lambda;
                if s.abs() <= 1.0 { Some([x_deg, s.asin() / D]) } else { None }
            }
            Self::Sfl => {
                let cos = (y_deg * D).cos();
                if cos.abs() < 1e-12 { within(0.0, y_deg) } else { within(x_deg / cos, y_deg) }
            }
            Self::Ait => {
                let (x, y) = (x_deg * D, y_deg * D);
                let z2 = 1.0 - (x / 4.0).powi(2) - (y / 2.0).powi(2);
                if z2 < 0.5 - 1e-12 {
                    return None;
                }
                let z = z2.sqrt();
                let theta = (y * z).clamp(-1.0, 1.0).asin() / D;
                Some([2.0 * (z * x / 2.0).atan2(2.0 * z2 - 1.0) / D, theta])
            }
            Self::Mol => {
                let s = y_deg * D / 2f64.sqrt();
                if s.abs() > 1.0 {
                    return None;
                }
                let (gamma, cos) = (s.asin(), (1.0 - s * s).sqrt());
                let theta = ((2.0 * gamma + (2.0 * gamma).sin()) / PI).clamp(-1.0, 1.0).asin() / D;
                if cos < 1e-12 { within(0.0, theta) } else { within(PI / (2.0 * 2f64.sqrt()) * x_deg / cos, theta) }
            }
        }
    }
}

fn theta_ok(theta_deg: f64) -> bool {
    theta_deg.abs() <= 90.0
}

/// acos that keeps its digits where the angle is small: theta of SIN near the limb and near the pole.
fn near_acos(r: f64) -> f64 {
    ((1.0 - r * r).max(0.0)).sqrt().atan2(r)
}

/// Inverse of the slant orthographic projection: a quadratic in sin theta.
fn slant(xi: f64, eta: f64, x: f64, y: f64) -> Option<[f64; 2]> {
    let a = xi * xi + eta * eta + 1.0;
    let b = xi * (x - xi) + eta * (y - eta);
    let c = (x - xi).powi(2) + (y - eta).powi(2) - 1.0;
    let root = b * b - a * c;
    if root < 0.0 {
        return None;
    }
    let roots = [(-b + root.sqrt()) / a, (-b - root.sqrt()) / a];
    let sin = roots.into_iter().filter(|s| s.abs() <= 1.0 + 1e-12).fold(f64::NAN, f64::max).clamp(-1.0, 1.0);
    if sin.is_nan() {
        return None;
    }
    let z = 1.0 - sin;
    let phi = (x - xi * z).atan2(-(y - eta * z));
    Some([phi / D, sin.asin() / D])
}

fn polynomial(terms: &[f64], z: f64) -> f64 {
    terms.iter().rev().fold(0.0, |sum, term| sum * z + term)
}

fn slope(terms: &[f64], z: f64) -> f64 {
    terms.iter().enumerate().skip(1).rev().fold(0.0, |sum, (m, term)| sum * z + m as f64 * term)
}

/// The colatitude up to which a polynomial grows: the first zero of its slope, or half a turn.
fn growing(terms: &[f64]) -> f64 {
    const STEPS: usize = 1800;
    let at = |k: usize| PI * k as f64 / STEPS as f64;
    let Some(k) = (1..=STEPS).find(|&k| slope(terms, at(k)) <= 0.0) else { return PI };
    let (mut low, mut high) = (at(k - 1), at(k));
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if slope(terms, middle) > 0.0 { low = middle } else { high = middle }
    }
    low
}

/// The colatitude at which a growing polynomial has a value, by bisection and Newton steps within the bracket.
fn solve(terms: &[f64], limit: f64, r: f64) -> Option<f64> {
    let (mut low, mut high) = (0.0, limit);
    // within a hole about the pole the plane has no point of the sphere
    if r < polynomial(terms, low) - 1e-13 || r > polynomial(terms, high) + 1e-13 {
        return None;
    }
    let mut z = r.clamp(low, high);
    for _ in 0..100 {
        let error = polynomial(terms, z) - r;
        if error > 0.0 {
            high = z
        } else {
            low = z
        }
        let newton = z - error / slope(terms, z);
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - z).abs() < 1e-15 {
            return Some(next);
        }
        z = next;
    }
    Some(z)
}

/// gamma of eq. 100: 2 gamma + sin 2 gamma = pi sin theta.
fn mollweide(theta: f64) -> f64 {
    let wanted = PI * theta.sin();
    if (PI - wanted.abs()) < 1e-14 {
        return theta.signum() * PI / 2.0;
    }
    let (mut low, mut high) = (-PI / 2.0, PI / 2.0);
    let mut gamma = theta;
    for _ in 0..100 {
        let error = 2.0 * gamma + (2.0 * gamma).sin() - wanted;
        if error > 0.0 {
            high = gamma
        } else {
            low = gamma
        }
        let newton = gamma - error / (2.0 + 2.0 * (2.0 * gamma).cos());
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - gamma).abs() < 1e-15 {
            return next;
        }
        gamma = next;
    }
    gamma
}
