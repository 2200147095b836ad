/// Returns when the desktop has taken it.
pub(crate) async fn show(app: &str, title: &str, body: &str) -> notify_rust::error::Result<()> {
    notify_rust::Notification::new().appname(app).summary(title).body(body).show().map(drop)
}
