//! The io.net side as seen from the PC: the owner's sign-in, this PC's identity, and the gateway.
//!
//! - [`Cloud`] is the one door: cheap to clone, every method may be called from any task.
//! - [`IdentityFolder`] keeps the private key that never leaves this PC, and the certificate made for it.
//! - [`Secret`] is what a token or a private key travels in; it cannot be printed or serialised.
//!
//! Nothing here decides: each failure is a [`CloudFault`] or a [`SignInFault`] for the core to think about.

mod address;
mod clock;
mod cloud;
mod endpoints;
mod explain;
mod files;
mod gateway;
mod history;
mod http;
mod identity;
mod keyring;
mod options;
mod pins;
mod probe;
mod proxy;
mod secret;
mod session;
mod shared;
mod sign_in;
mod tokens;
mod upload;
mod view;
#[cfg(feature = "visitor")]
pub mod visitor;

pub use cloud::{Cloud, SetUpFault, WantedFault};
pub use endpoints::{Endpoints, EndpointsFault};
pub use identity::{Belonging, Enrolled, Facts, IdentityFolder};
pub use ionet_core::fault::{CloudFault, LogFault, SignInFault};
pub use ionet_gateway_api::{DeviceEnd, DeviceSummary, UploadGrant, UploadObject};
pub use options::Options;
pub use proxy::SystemProxy;
pub use reqwest::Body;
pub use secret::Secret;
pub use sign_in::{Opening, PageWords, SignInHooks};
