//! This PC as io.net knows it.

use std::sync::Arc;

use ionet_cloud::Secret;
use ionet_core::Outcome;
use ionet_core::effect::Identity;
use ionet_core::event::Device;
use ionet_core::fault::CloudFault;
use ionet_core::target::AGREEMENT_VERSION;

use super::{Shared, unsaid};

pub(super) fn broken_off(deed: Identity) -> Outcome {
    let fault = CloudFault::Refused(unsaid());
    match deed {
        Identity::Enrol => Outcome::Enrolled(Err(fault)),
        Identity::Renew => Outcome::Renewed(Err(fault)),
        Identity::Leave => Outcome::Left(Err(fault)),
    }
}

impl Shared {
    pub(super) async fn identity(self: Arc<Self>, deed: Identity) -> Outcome {
        match deed {
            Identity::Enrol => Outcome::Enrolled(self.enrol().await),
            Identity::Renew => Outcome::Renewed(self.renew().await),
            Identity::Leave => Outcome::Left(self.tools.cloud.set_identity_aside().await),
        }
    }

    async fn enrol(&self) -> Result<Device, CloudFault> {
        let token = self.tools.enrolment_token.as_ref().map(|token| Secret::new(token.reveal().clone()));
        let label = ionet_sensors::host_name();
        let device = self.tools.cloud.enrol(&label, AGREEMENT_VERSION, token).await?;
        // It may follow another, which whoever is asked about this PC has refused.
        self.renewed.notify_one();
        Ok(device)
    }

    /// A running agent reads its new certificate when it is told to.
    async fn renew(&self) -> Result<Device, CloudFault> {
        let device = self.tools.cloud.renew().await?;
        // Kept until somebody waits for it: a poll that is under way must not miss it.
        self.renewed.notify_one();
        self.reload_agent().await;
        Ok(device)
    }
}
