//! What is free goes back to the system: a program that waits all day must not keep what its busiest moment took.

use std::time::Duration;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "memory/glibc.rs"]
mod platform;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[path = "memory/other.rs"]
mod platform;

use platform::give_back;
pub use platform::stay_small;

/// Giving back costs a fraction of a millisecond, and a wake-up.
const EVERY: Duration = Duration::from_secs(60);

/// Gives back again and again, as long as the program runs.
pub async fn tend() {
    loop {
        tokio::time::sleep(EVERY).await;
        give_back();
    }
}
