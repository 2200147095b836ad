//! The ring: Snapshot -> shape -> pixels. State is told by shape, so that it never depends on colour alone.

use ionet_core::{Phase, Snapshot};

/// What the ring looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// A nearly closed arc: earning, or online and ready to.
    Full,
    /// Half an arc: paused, or on the way there.
    Half,
    /// Dashes: starting.
    Dashed,
    /// An arc with a dot: the owner is needed.
    Attention,
}

pub fn ring(snapshot: &Snapshot) -> Ring {
    match snapshot.phase {
        Phase::Earning | Phase::Waiting => Ring::Full,
        Phase::Paused { .. } | Phase::Pausing | Phase::Quitting | Phase::SigningOut => Ring::Half,
        Phase::Loading | Phase::Enrolling | Phase::Detecting | Phase::Starting | Phase::Connecting => {
            Ring::Dashed
        }
        Phase::Welcome | Phase::SigningIn | Phase::Agreement | Phase::Blocked { .. } => Ring::Attention,
    }
}

/// A square picture in ARGB32, network byte order, as StatusNotifierItem wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub side: u32,
    pub argb: Vec<u8>,
}

/// Light ink with a dark rim: seen on dark panels and on light ones, where no host recolours it.
const INK: [u8; 3] = [0xF2, 0xF4, 0xF8];
const RIM: [u8; 3] = [0x16, 0x1A, 0x22];
/// How far the rim reaches beyond the ink, in the square -1..1.
const RIM_WIDTH: f64 = 0.10;
const DOT: [u8; 3] = [0xF2, 0xB2, 0x4C];
/// Samples a pixel's side: the edge of a 2 px stroke has to be soft at 22 px.
const SAMPLES: u32 = 4;

pub fn draw(ring: Ring, side: u32) -> Picture {
    let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let argb = pixels.flat_map(|(x, y)| pixel(ring, side, x, y)).collect();
    Picture { side, argb }
}

fn pixel(ring: Ring, side: u32, x: u32, y: u32) -> [u8; 4] {
    let at = |pixel: u32, sample: u32| {
        let position = f64::from(pixel) + (f64::from(sample) + 0.5) / f64::from(SAMPLES);
        position / f64::from(side) * 2.0 - 1.0
    };
    let samples = (0..SAMPLES).flat_map(|i| (0..SAMPLES).map(move |j| (i, j)));
    let inked: Vec<[u8; 3]> = samples.filter_map(|(i, j)| ink(ring, at(x, i), at(y, j))).collect();
    let count = inked.len() as u32;
    if count == 0 {
        return [0; 4];
    }
    let mean = |channel: usize| {
        let sum: u32 = inked.iter().map(|colour| u32::from(colour[channel])).sum();
        u8::try_from(sum / count).unwrap_or(u8::MAX)
    };
    let alpha = u8::try_from(count * 255 / (SAMPLES * SAMPLES)).unwrap_or(u8::MAX);
    [alpha, mean(0), mean(1), mean(2)]
}

/// The colour at a point of the square -1..1, if there is any.
fn ink(ring: Ring, x: f64, y: f64) -> Option<[u8; 3]> {
    let to_dot = (x - 0.62).hypot(y + 0.62);
    if ring == Ring::Attention && to_dot < 0.34 {
        return Some(DOT);
    }
    // The arc leaves room around the dot.
    if ring == Ring::Attention && to_dot < 0.50 {
        return (to_dot < 0.34 + RIM_WIDTH).then_some(RIM);
    }
    let radius = x.hypot(y);
    // Degrees clockwise from the top.
    let angle = x.atan2(-y).to_degrees().rem_euclid(360.0);
    if (0.62..0.86).contains(&radius) && on_arc(ring, angle, 0.0) {
        return Some(INK);
    }
    // As wide along the arc as across it.
    let slack = RIM_WIDTH.atan2(0.74).to_degrees();
    let rim = (0.62 - RIM_WIDTH..0.86 + RIM_WIDTH).contains(&radius) && on_arc(ring, angle, slack);
    rim.then_some(RIM)
}

/// `slack`: how many degrees each end reaches further.
fn on_arc(ring: Ring, angle: f64, slack: f64) -> bool {
    match ring {
        Ring::Full | Ring::Attention => !(20.0 + slack..70.0 - slack).contains(&angle),
        Ring::Half => angle >= 180.0 - slack || angle < slack,
        Ring::Dashed => {
            let within = (angle + 15.0).rem_euclid(60.0);
            within < 34.0 + slack || within >= 60.0 - slack
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Ring; 4] = [Ring::Full, Ring::Half, Ring::Dashed, Ring::Attention];

    #[test]
    fn every_state_has_a_shape_of_its_own_without_its_colour() {
        let alphas = |ring| draw(ring, 22).argb.chunks(4).map(|p| p[0] > 127).collect::<Vec<_>>();

        for (i, one) in ALL.iter().enumerate() {
            for other in &ALL[i + 1..] {
                let differing = alphas(*one).iter().zip(alphas(*other)).filter(|(a, b)| **a != *b).count();
                assert!(differing > 15, "{one:?} and {other:?} differ in {differing} pixels of 484");
            }
        }
    }

    /// Contrast of a pixel with the panel behind it, as WCAG 2.2 counts it (1 to 21).
    fn contrast(pixel: &[u8], panel: [u8; 3]) -> f64 {
        let alpha = f64::from(pixel[0]) / 255.0;
        let shown = |channel: usize| {
            alpha * f64::from(pixel[channel + 1]) + (1.0 - alpha) * f64::from(panel[channel])
        };
        let luminance = |colour: [f64; 3]| {
            let [r, g, b] = colour.map(|c| match c / 255.0 {
                low if low <= 0.04045 => low / 12.92,
                high => ((high + 0.055) / 1.055).powf(2.4),
            });
            0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
        };
        let (one, other) = (luminance([0, 1, 2].map(shown)), luminance(panel.map(f64::from)));
        one.max(other) / one.min(other)
    }

    #[test]
    fn every_ring_is_seen_and_told_from_the_others_on_a_light_and_on_a_dark_panel() {
        // White and black, and the light and the dark panel of a large desktop.
        for panel in [[0xFF; 3], [0xEB; 3], [0x1D; 3], [0x00; 3]] {
            for side in [16, 22, 44] {
                let seen = |ring| {
                    draw(ring, side).argb.chunks(4).map(|p| contrast(p, panel) >= 3.0).collect::<Vec<_>>()
                };
                let pixels = (side * side) as usize;
                for (i, one) in ALL.iter().enumerate() {
                    let count = seen(*one).iter().filter(|p| **p).count();
                    assert!(count * 12 > pixels, "{one:?} on {panel:?} at {side}: {count} of {pixels}");
                    for other in &ALL[i + 1..] {
                        let differing =
                            seen(*one).iter().zip(seen(*other)).filter(|(a, b)| **a != *b).count();
                        assert!(
                            differing * 30 > pixels,
                            "{one:?} and {other:?} on {panel:?} at {side}: {differing} of {pixels}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_picture_has_four_bytes_a_pixel_and_a_clear_ground() {
        for ring in ALL {
            let picture = draw(ring, 44);

            assert_eq!(picture.argb.len(), 44 * 44 * 4);
            assert_eq!(picture.argb[..4], [0; 4], "{ring:?}");
        }
    }
}
