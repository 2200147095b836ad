//! What is said by those whom the holder has started.

use std::io::Write as _;

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;

/// Until nobody is left to say anything. The holder's own way out, perhaps a file of the owner's, is lent to nobody in there.
pub(super) async fn pass_on(mut said: ChildStderr) {
    let mut some = [0; 4096];
    while let Ok(read @ 1..) = said.read(&mut some).await {
        let _ = std::io::stderr().write_all(some.get(..read).unwrap_or_default());
    }
}
