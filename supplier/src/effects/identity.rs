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
    of(deed, Err(CloudFault::Refused(unsaid())))
}

fn of(deed: Identity, result: Result<Device, CloudFault>) -> Outcome {
    match deed {
        Identity::Enrol => Outcome::Enrolled(result),
        Identity::Renew => Outcome::Renewed(result),
        Identity::TakeOver => Outcome::TakenOver(result),
    }
}

impl Shared {
    pub(super) async fn identity(self: Arc<Self>, deed: Identity) -> Outcome {
        let result = match deed {
            Identity::Enrol => self.enrol().await,
            Identity::Renew => self.renew().await,
            Identity::TakeOver => self.take_over().await,
        };
        of(deed, result)
    }

    async fn enrol(&self) -> Result<Device, CloudFault> {
        let token = self.tools.enrolment_token.as_ref().map(|token| Secret::new(token.reveal().clone()));
        let label = ionet_sensors::host_name();
        self.tools.cloud.enrol(&label, AGREEMENT_VERSION, token).await
    }

    /// A running agent reads its new certificate when it is told to.
    async fn renew(&self) -> Result<Device, CloudFault> {
        let device = self.tools.cloud.renew().await?;
        // Kept until somebody waits for it: a poll that is under way must not miss it.
        self.renewed.notify_one();
        self.reload_agent().await;
        Ok(device)
    }

    /// Leaves the account whose device this is, and becomes a new one of the account that is signed in.
    async fn take_over(&self) -> Result<Device, CloudFault> {
        self.tools.cloud.set_identity_aside().await?;
        let label = ionet_sensors::host_name();
        let device = self.tools.cloud.enrol(&label, AGREEMENT_VERSION, None).await?;
        self.renewed.notify_one();
        Ok(device)
    }
}
