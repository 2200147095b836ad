//! The loopback address that the browser comes back to, and the page it ends on.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

const PATH: &str = "/callback";
const MAX_HEAD: usize = 16 * 1024;
/// Browsers open connections ahead of need and leave them idle.
const PATIENCE: Duration = Duration::from_secs(30);

/// The sentences of the page that the browser ends on; plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageWords {
    pub done_title: String,
    pub done_text: String,
    pub failed_title: String,
    pub failed_text: String,
}

impl Default for PageWords {
    fn default() -> Self {
        Self {
            done_title: "You are signed in".into(),
            done_text: "You can close this page and go back to the app.".into(),
            failed_title: "The sign-in did not work".into(),
            failed_text: "Go back to the app and try again.".into(),
        }
    }
}

/// Dropping it closes the port.
pub(super) struct Listener {
    url: Url,
    callbacks: mpsc::Receiver<Callback>,
    _accepting: AbortOnDropHandle<()>,
}

/// A browser that came back and waits for its page.
pub(super) struct Callback {
    params: Vec<(String, String)>,
    stream: TcpStream,
    words: PageWords,
}

impl Listener {
    pub(super) async fn open(words: PageWords) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let host = listener.local_addr()?.to_string();
        let url = Url::parse(&format!("http://{host}{PATH}")).map_err(io::Error::other)?;
        let (send, callbacks) = mpsc::channel(1);
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, host, words, send)));
        Ok(Self { url, callbacks, _accepting: accepting })
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    pub(super) async fn next(&mut self) -> Option<Callback> {
        self.callbacks.recv().await
    }
}

impl Callback {
    /// The value of a parameter that is there exactly once.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let mut values = self.params.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    pub(super) async fn answer(mut self, done: bool) {
        let words = &self.words;
        let (status, title, text) = if done {
            ("200 OK", &words.done_title, &words.done_text)
        } else {
            ("400 Bad Request", &words.failed_title, &words.failed_text)
        };
        let page = page(title, text);
        // A browser that has gone away misses its page; the sign-in is none the worse.
        let _ = write(&mut self.stream, status, &page).await;
    }
}

async fn accept(listener: TcpListener, host: String, words: PageWords, send: mpsc::Sender<Callback>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (host, words, send) = (host.clone(), words.clone(), send.clone());
        connections.spawn(async move {
            let served = tokio::time::timeout(PATIENCE, serve(stream, &host, words)).await;
            if let Ok(Ok(Some(callback))) = served {
                // The sign-in is over when nobody receives.
                let _ = send.send(callback).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A callback, or nothing when it was another request, which then has its answer.
async fn serve(mut stream: TcpStream, host: &str, words: PageWords) -> io::Result<Option<Callback>> {
    let Some(head) = read_head(&mut stream).await? else { return Ok(None) };
    let mut lines = head.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
    // Another name for this address would be another site's doing.
    let named = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("host") && value.trim() == host);
    let url = Url::parse(&format!("http://{host}{target}")).ok();
    match url.filter(|url| method == "GET" && named && url.path() == PATH) {
        Some(url) => {
            let params = url.query_pairs().into_owned().collect();
            Ok(Some(Callback { params, stream, words }))
        }
        None => {
            write(&mut stream, "404 Not Found", "").await?;
            Ok(None)
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(String::from_utf8(head).ok())
}

async fn write(stream: &mut TcpStream, status: &str, page: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\ncache-control: no-store\r\n\
         referrer-policy: no-referrer\r\nconnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

fn page(title: &str, text: &str) -> String {
    let (title, text) = (escape(title), escape(text));
    format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>\
         :root{{color-scheme:light dark}}body{{margin:0;min-height:100vh;display:grid;place-items:center;\
         text-align:center;font:15px/1.5 system-ui,sans-serif}}h1{{font-size:20px;font-weight:600}}</style></head>\
         <body><main><h1 id=\"title\">{title}</h1><p id=\"text\">{text}</p></main></body></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn request(url: &Url, text: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn get(url: &Url, target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", url.authority())
    }

    #[tokio::test]
    async fn parameters_come_in_any_order_with_others_between_them() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();
        let text = get(&url, "/callback?session_state=1&code=a%20b&x=&state=s");
        let browser = tokio::spawn(async move { request(&url, &text).await });

        let callback = listener.next().await.unwrap();
        let found = (callback.param("code").map(str::to_owned), callback.param("state").map(str::to_owned));
        callback.answer(true).await;

        assert_eq!(found, (Some("a b".into()), Some("s".into())));
        assert!(browser.await.unwrap().contains("You are signed in"));
    }

    #[tokio::test]
    async fn a_parameter_that_is_there_twice_is_not_there() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();
        let text = get(&url, "/callback?state=a&state=b");
        tokio::spawn(async move { request(&url, &text).await });

        let callback = listener.next().await.unwrap();

        assert_eq!(callback.param("state"), None);
    }

    #[tokio::test]
    async fn other_paths_methods_and_host_names_are_not_the_browser_coming_back() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();

        let answers = [
            request(&url, &get(&url, "/favicon.ico")).await,
            request(&url, &get(&url, "/callback").replace("GET", "POST")).await,
            request(&url, "GET /callback?state=s HTTP/1.1\r\nHost: evil.example.test\r\n\r\n").await,
        ];

        assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 404")), "{answers:?}");
        assert!(listener.callbacks.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_idle_connection_holds_nobody_up() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();
        let _idle = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        let text = get(&url, "/callback?state=s");
        tokio::spawn(async move { request(&url, &text).await });

        let callback = listener.next().await.unwrap();

        assert_eq!(callback.param("state"), Some("s"));
    }

    #[test]
    fn words_cannot_break_out_of_the_page() {
        let page = page("<script>", "a & b");

        assert!(!page.contains("<script>") && page.contains("a &amp; b"));
    }
}
