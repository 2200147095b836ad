//! Which requests the docker driver of Nomad 2.0.5 makes, and no others. What is passed on is built from what was understood
//! of its target; of its headers nothing goes on.

use std::fmt::Write as _;

use hyper::{Method, Uri};

use super::{Refusal, is_plain};

/// A request that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) route: Route,
    /// As the engine is asked, with its query. A container's that is to be made lacks its name.
    pub(crate) target: String,
}

/// What is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Free,
    /// Under this name, where one is asked for.
    Create(Option<String>),
    Exec,
    ExecStart,
    Start(String),
    Remove(String),
    /// By its reference, from a registry.
    Pull(String),
    Image(String),
    RemoveImage(String),
}

impl Route {
    pub(crate) fn has_body(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Exec | Self::ExecStart)
    }
}

const UNKNOWN: Refusal = Refusal::of("a request that is not known");

/// # Errors
/// It is none of the driver's.
pub(crate) fn way(method: &Method, uri: &Uri) -> Result<Way, Refusal> {
    let (version, path) = versioned(uri.path())?;
    let query = Query::of(uri.query().unwrap_or_default())?;
    let (route, query) = known(method, path, query)?;
    Ok(Way { route, target: format!("{version}/{path}{}", query.written()) })
}

/// Before 1.40 some meant otherwise what they say today, and after 1.55 nobody knows yet what they will: between them lies what
/// the driver speaks. It asks without a version only for the engine's.
fn versioned(path: &str) -> Result<(&str, &str), Refusal> {
    const VERSION: Refusal = Refusal::of("a version of the engine's API that the driver does not speak");
    let plain = path.strip_prefix('/').ok_or(UNKNOWN)?;
    if plain == "_ping" {
        return Ok(("", plain));
    }
    let (first, rest) = plain.split_once('/').ok_or(UNKNOWN)?;
    let minor = first.strip_prefix("v1.").and_then(|minor| minor.parse::<u32>().ok()).ok_or(VERSION)?;
    let is_spoken = rest != "_ping" && (40..=55).contains(&minor) && first == format!("v1.{minor}");
    if is_spoken { Ok((&path[..=first.len()], rest)) } else { Err(VERSION) }
}

fn known(method: &Method, path: &str, query: Query) -> Result<(Route, Query), Refusal> {
    if let Some(image) = path.strip_prefix("images/") {
        return images(method, image, query);
    }
    let parts: Vec<&str> = path.split('/').collect();
    let is_sound = parts.iter().all(|part| is_plain(part.trim_start_matches('_')));
    match (method, parts.as_slice()) {
        _ if !is_sound => Err(UNKNOWN),
        (&Method::GET | &Method::HEAD, ["_ping"]) => query.only(&[], Route::Free),
        (&Method::GET, ["version" | "info" | "networks"]) => query.only(&[], Route::Free),
        (&Method::GET, ["containers", "json"]) => {
            // Those of jobs, whatever else runs in the engine.
            let (_, asked) = query.only(&["all", "filters"], Route::Free)?;
            let mut listed = Query(asked.0.into_iter().filter(|(name, _)| name == "all").collect());
            listed.set("filters", r#"{"label":["com.hashicorp.nomad.alloc_id"]}"#);
            Ok((Route::Free, listed))
        }
        (&Method::POST, ["containers", "create"]) => {
            let (_, mut asked) = query.only(&["name"], Route::Free)?;
            Ok((Route::Create(asked.0.pop().map(|(_, name)| name)), Query::default()))
        }
        (&Method::GET, ["containers", _, "json"] | ["exec", _, "json"]) => query.only(&[], Route::Free),
        (&Method::GET, ["containers", _, "logs"]) => {
            query.only(&["stdout", "stderr", "since", "follow", "tail", "timestamps"], Route::Free)
        }
        (&Method::GET, ["containers", _, "stats"]) => query.only(&["stream", "one-shot"], Route::Free),
        (&Method::POST, ["containers", _, "exec"]) => query.only(&[], Route::Exec),
        (&Method::POST, ["containers", id, "start"]) => query.only(&[], Route::Start((*id).to_owned())),
        (&Method::POST, ["containers", _, "stop"]) => query.only(&["t", "signal"], Route::Free),
        (&Method::POST, ["containers", _, "kill"]) => query.only(&["signal"], Route::Free),
        (&Method::POST, ["containers", _, "wait"]) => query.only(&["condition"], Route::Free),
        (&Method::POST, ["exec", _, "start"]) => query.only(&[], Route::ExecStart),
        (&Method::POST, ["exec", _, "resize"]) => query.only(&["h", "w"], Route::Free),
        (&Method::DELETE, ["containers", id]) => {
            let (route, mut query) = query.only(&["force"], Route::Remove((*id).to_owned()))?;
            // With what its image had it write outside its own layer: nobody else would ever remove that.
            query.set("v", "1");
            Ok((route, query))
        }
        _ => Err(UNKNOWN),
    }
}

/// No archive is loaded, nothing is built or imported, and no name is moved: images come from a registry.
fn images(method: &Method, path: &str, query: Query) -> Result<(Route, Query), Refusal> {
    let reference = |image: &str| is_reference(image).then(|| image.to_owned()).ok_or(UNKNOWN);
    match (method, path) {
        (&Method::POST, "create") => {
            let (_, query) = query.only(&["fromImage", "tag"], Route::Free)?;
            let image = pulled(&query).ok_or(UNKNOWN)?;
            Ok((Route::Pull(image), query))
        }
        (&Method::GET, path) => {
            let image = path.strip_suffix("/json").ok_or(UNKNOWN)?;
            query.only(&[], Route::Image(reference(image)?))
        }
        (&Method::DELETE, image) => {
            query.only(&["force"], Route::RemoveImage(reference(image)?))?;
            // Never by force: it would take the names that the owner has for the same image.
            Ok((Route::RemoveImage(reference(image)?), Query::default()))
        }
        _ => Err(UNKNOWN),
    }
}

fn pulled(query: &Query) -> Option<String> {
    let image = query.get("fromImage")?;
    let joined = match query.get("tag").unwrap_or_default() {
        "" => image.to_owned(),
        digest if digest.contains(':') => format!("{image}@{digest}"),
        tag => format!("{image}:{tag}"),
    };
    super::image::reference(&joined)
}

fn is_reference(image: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    !image.is_empty() && image.len() < 1024 && !image.contains("..") && image.bytes().all(plain)
}

/// What is asked in a target's end, each thing once.
#[derive(Debug, Default)]
struct Query(Vec<(String, String)>);

impl Query {
    fn of(written: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(written.as_bytes()) {
            if query.get(&name).is_some() {
                return Err(Refusal::of("a request that says one thing twice"));
            }
            query.set(&name, &value);
        }
        Ok(query)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn only(self, names: &[&str], route: Route) -> Result<(Route, Self), Refusal> {
        let is_known = |(name, _): &(String, String)| names.contains(&name.as_str());
        if self.0.iter().all(is_known) {
            Ok((route, self))
        } else {
            Err(Refusal::of("a request with a parameter that is not known"))
        }
    }

    fn written(&self) -> String {
        let mut written = String::new();
        for (number, (name, value)) in self.0.iter().enumerate() {
            let sign = if number == 0 { '?' } else { '&' };
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let _ = write!(written, "{sign}{}={}", encode(name), encode(value));
        }
        written
    }
}
