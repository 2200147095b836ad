//! Waiting for a condition, with a deadline that only guards against hanging.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Guards against hanging, and against nothing else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition that cannot announce itself is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Looks until `look` gives a value. What it complained about last is in the error when `patience` is over.
pub async fn until<T, F>(what: &str, patience: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + patience;
    let mut complaint = None;
    loop {
        // A look that hangs must not outlive the deadline either.
        match tokio::time::timeout_at(deadline.max(Instant::now() + LOOK), look()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => complaint = None,
            Ok(Err(error)) => complaint = Some(format!("{error:#}")),
            Err(_) => complaint = complaint.or_else(|| Some("no answer".to_owned())),
        }
        if Instant::now() >= deadline {
            match complaint {
                Some(complaint) => bail!("not within {patience:?}: {what} ({complaint})"),
                None => bail!("not within {patience:?}: {what}"),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// [`until`] for a condition that is read without waiting.
pub async fn until_seen<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    until(what, patience, || std::future::ready(look())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_never_comes_is_named_with_its_last_complaint() {
        let waited = until_seen::<()>("the moon", Duration::from_millis(10), || bail!("clouds")).await;

        let said = waited.unwrap_err().to_string();
        assert!(said.contains("the moon") && said.contains("clouds"), "{said}");
    }

    #[tokio::test]
    async fn a_value_ends_the_wait() {
        let mut looks = 0;

        let value = until_seen("two", Duration::from_secs(5), || {
            looks += 1;
            Ok((looks == 2).then_some(looks))
        })
        .await;

        assert_eq!(value.unwrap(), 2);
    }
}
