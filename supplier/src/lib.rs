//! The resident program: sensors notice, the core decides, effects act, tray and window only show.

pub mod clock;
pub mod commands;
pub mod day;
pub mod desktop;
pub mod effects;
pub mod memory;
pub mod questions;
pub mod resident;
pub mod runners;
pub mod settings;
pub mod turns;
