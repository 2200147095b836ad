//! The loopback address that the browser comes back to, and the page it ends on.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::hooks::PageWords;
use head::{Head, read_head};

mod head;

const PATH: &str = "/callback";
/// Browsers open connections ahead of need and leave them idle.
const PATIENCE: Duration = Duration::from_secs(30);
/// A page is small, and the browser on this PC.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// More than any browser opens. When there are more, the oldest goes: it had the longest time to say something.
const MOST_CONNECTIONS: usize = 64;

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
        // A browser that has gone away, or takes nothing, misses its page; the sign-in is none the worse.
        let _ = tokio::time::timeout(ANSWERED_WITHIN, write(&mut self.stream, status, &page)).await;
    }
}

async fn accept(listener: TcpListener, host: String, words: PageWords, send: mpsc::Sender<Callback>) {
    let mut connections = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be taken");
                // Too many open files, most often: some are closed meanwhile.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (host, words, send) = (host.clone(), words.clone(), send.clone());
        let served = tokio::spawn(async move {
            let served = tokio::time::timeout(PATIENCE, serve(stream, &host, words)).await;
            if let Ok(Ok(Some(callback))) = served {
                // The sign-in is over when nobody receives.
                let _ = send.send(callback).await;
            }
        });
        connections.retain(|connection: &AbortOnDropHandle<()>| !connection.is_finished());
        if connections.len() == MOST_CONNECTIONS {
            connections.pop_front();
        }
        connections.push_back(AbortOnDropHandle::new(served));
    }
}

/// A callback, or nothing when it was another request, which then has its answer.
async fn serve(stream: TcpStream, host: &str, words: PageWords) -> io::Result<Option<Callback>> {
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader).await?;
    let mut stream = reader.into_inner();
    let (line, named) = match head {
        Head::Gone => return Ok(None),
        Head::TooLarge => {
            let page = page(&words.too_large_title, &words.too_large_text);
            write(&mut stream, "431 Request Header Fields Too Large", &page).await?;
            drain(&mut stream).await;
            return Ok(None);
        }
        Head::Read { line, host } => (line, host),
    };
    let mut request = line.split(' ');
    let (method, target) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
    let url = Url::parse(&format!("http://{host}{target}")).ok();
    // Another name for this address would be another site's doing.
    let is_ours = |url: &Url| method == "GET" && named.as_deref() == Some(host) && url.path() == PATH;
    match url.filter(is_ours) {
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

/// What is still on its way would be answered by a reset, and the browser would show that in place of the page.
async fn drain(stream: &mut TcpStream) {
    let mut rest = vec![0; 64 * 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
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

    async fn came_back(listener: &mut Listener) -> Callback {
        tokio::time::timeout(Duration::from_secs(20), listener.next()).await.unwrap().unwrap()
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

        let callback = came_back(&mut listener).await;
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

        let callback = came_back(&mut listener).await;

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

    /// A head with so many bytes of cookies, and the first line of what comes back.
    async fn with_cookies(url: &Url, bytes: usize) -> String {
        let cookie = "x".repeat(bytes);
        let text =
            get(url, "/callback?state=s").replace("\r\n\r\n", &format!("\r\nCookie: a={cookie}\r\n\r\n"));
        request(url, &text).await.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn the_cookies_of_everything_that_ever_served_here_do_not_stop_a_sign_in() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();
        let browser = tokio::spawn(async move {
            let mut answers = Vec::new();
            for kib in [4, 31, 40, 200, 1000] {
                answers.push(with_cookies(&url, kib * 1024).await);
            }
            answers
        });

        for _ in 0..5 {
            let callback = came_back(&mut listener).await;
            assert_eq!(callback.param("state"), Some("s"));
            callback.answer(true).await;
        }

        assert_eq!(browser.await.unwrap(), ["HTTP/1.1 200 OK"; 5]);
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_told_what_to_do() {
        let listener = Listener::open(PageWords::default()).await.unwrap();

        let answer = with_cookies(&listener.url(), 3 * 1024 * 1024).await;

        assert_eq!(answer, "HTTP/1.1 431 Request Header Fields Too Large");
    }

    #[tokio::test]
    async fn a_head_that_comes_letter_by_letter_is_read() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();
        let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        stream.set_nodelay(true).unwrap();

        for byte in get(&url, "/callback?state=s").bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }

        assert_eq!(came_back(&mut listener).await.param("state"), Some("s"));
    }

    #[tokio::test]
    async fn hundreds_of_idle_connections_hold_nobody_up() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();
        let mut idle = Vec::new();
        for _ in 0..300 {
            idle.push(TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap());
        }
        let text = get(&url, "/callback?state=s");
        tokio::spawn(async move { request(&url, &text).await });

        let callback = came_back(&mut listener).await;

        assert_eq!(callback.param("state"), Some("s"));
    }

    #[tokio::test]
    async fn an_idle_connection_holds_nobody_up() {
        let mut listener = Listener::open(PageWords::default()).await.unwrap();
        let url = listener.url();
        let _idle = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        let text = get(&url, "/callback?state=s");
        tokio::spawn(async move { request(&url, &text).await });

        let callback = came_back(&mut listener).await;

        assert_eq!(callback.param("state"), Some("s"));
    }

    #[test]
    fn words_cannot_break_out_of_the_page() {
        let page = page("<script>", "a & b");

        assert!(!page.contains("<script>") && page.contains("a &amp; b"));
    }
}
