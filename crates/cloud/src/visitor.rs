//! The person at the browser, for tests and the demo's check: follows pages, fills in forms, presses the button.
//!
//! It knows what a person could know: the address it was sent to, a login and a password, and that the button is
//! `#submit`. Cookies are kept as a browser would; scripts are not run, which our pages do not need.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use url::Url;

/// More steps than any sign-in has.
const MAX_STEPS: usize = 20;

/// The page that the person is left with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPage {
    pub url: Url,
    pub status: u16,
    pub html: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("a link leads nowhere: {0}")]
    Link(#[from] url::ParseError),
    #[error("the page at {0} does not accept this login")]
    WrongLogin(Url),
    #[error("the way has too many steps")]
    TooLong,
}

/// Opens `url` and does what the pages ask, until one asks nothing more: for a browser's sign-in that is the app's
/// own page at the loopback address, for a device code the page that says so.
pub async fn walk_sign_in(url: &str, login: &str, password: &str) -> Result<LastPage, Lost> {
    walk(url, &[("login", login), ("password", password)]).await
}

/// Types the code in at the address that the app shows.
pub async fn walk_device_code(
    url: &str,
    user_code: &str,
    login: &str,
    password: &str,
) -> Result<LastPage, Lost> {
    walk(url, &[("user_code", user_code), ("login", login), ("password", password)]).await
}

async fn walk(url: &str, answers: &[(&str, &str)]) -> Result<LastPage, Lost> {
    crate::http::install_tls();
    let client = Client::builder()
        .cookie_store(true)
        .redirect(Policy::limited(MAX_STEPS))
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?;
    let mut page = read(client.get(Url::parse(url)?).send().await?).await?;
    for _ in 0..MAX_STEPS {
        let Some(form) = Form::first_in(&page.html) else { return Ok(page) };
        if page.status == StatusCode::UNAUTHORIZED.as_u16() {
            return Err(Lost::WrongLogin(page.url));
        }
        let target = page.url.join(&form.action)?;
        page = read(client.post(target).form(&form.filled(answers)).send().await?).await?;
    }
    Err(Lost::TooLong)
}

async fn read(response: Response) -> Result<LastPage, Lost> {
    let (url, status) = (response.url().clone(), response.status().as_u16());
    Ok(LastPage { url, status, html: response.text().await? })
}

struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Form {
    /// The first form of a page, with the button that stands outside it but belongs to it.
    fn first_in(html: &str) -> Option<Self> {
        let start = html.find("<form")?;
        let end = start + html[start..].find("</form>")?;
        let inside = &html[start..end];
        let action = attribute(inside.split_once('>')?.0, "action")?;
        let fields = tags(inside, "<input")
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())));
        let button = tags(html, "<button").find(|tag| attribute(tag, "id").as_deref() == Some("submit"));
        let pressed = button.and_then(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)));
        Some(Self { action, fields: fields.chain(pressed).collect() })
    }

    fn filled(&self, answers: &[(&str, &str)]) -> Vec<(String, String)> {
        let fill = |(name, value): &(String, String)| {
            let answer = answers.iter().find(|(asked, _)| asked == name);
            (name.clone(), answer.map_or_else(|| value.clone(), |(_, answer)| (*answer).to_owned()))
        };
        self.fields.iter().map(fill).collect()
    }
}

fn tags<'a>(html: &'a str, open: &'a str) -> impl Iterator<Item = &'a str> {
    html.match_indices(open).filter_map(move |(at, _)| html[at..].split_once('>').map(|(tag, _)| tag))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Some(signs.iter().fold(value.to_owned(), |text, (entity, sign)| text.replace(entity, sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_in_as_a_person_would() {
        let html = r#"<form method="post" action="/a?x=1&amp;y=2"><input type="hidden" name="xsrf" value="s&#39;">
            <input id="login" name="login" value=""></form><button id="submit" name="go" value="yes">Go</button>"#;

        let form = Form::first_in(html).unwrap();

        let expected = [("xsrf", "s'"), ("login", "alice"), ("go", "yes")];
        assert_eq!(form.action, "/a?x=1&y=2");
        assert_eq!(
            form.filled(&[("login", "alice")]),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
