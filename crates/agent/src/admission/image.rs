//! Images: their names, and what a container takes over from one.

use serde_json::Value;

use super::{Refusal, card};

/// No reference of an image is longer.
pub(crate) const LONGEST: usize = 1024;

/// An image with this label is for any job, though none brought it: whoever puts it into an engine marks it. Nobody has it
/// in an image of their own by chance, and a job can give it only to what it brings.
const OFFERED: &str = "net.io.jobs";

/// All but the environment is listed with every container, each time that somebody asks the engine which there are.
pub(super) const LISTED: usize = 128 * 1024;

pub(crate) fn is_offered(config: &Value) -> bool {
    config["Labels"].get(OFFERED).is_some()
}

/// Whether a container may be made of an image with this configuration, which becomes the container's where that says nothing
/// else.
///
/// # Errors
/// There is too much in it, or it would reach what is not the container's.
pub(super) fn admit(config: &Value, has_card: bool) -> Result<(), Refusal> {
    let fields = config.as_object().into_iter().flatten().filter(|(field, _)| *field != "Env");
    let length: usize = fields.map(|(field, value)| field.len() + value.to_string().len()).sum();
    if length > LISTED {
        return Err(Refusal::of("an image whose labels and commands have more than 128 KiB"));
    }
    if !is_own_folder(config["WorkingDir"].as_str().unwrap_or_default()) {
        return Err(Refusal::of("an image that works in a folder of the system's"));
    }
    let env = config["Env"].as_array().into_iter().flatten();
    if has_card { card::admit_image(env.filter_map(Value::as_str)) } else { Ok(()) }
}

/// Whether a program may begin there: what lies below these is the kernel's, and may lead out of the container for a moment.
pub(super) fn is_own_folder(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    !matches!(parts.first(), Some(&("proc" | "sys" | "dev"))) && !parts.contains(&"..")
}

/// As every engine writes it, always with a tag or digest: without one it could be read as the beginning of another
/// image's id. None where it is not one of a registry's.
pub(crate) fn reference(image: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let sound = image.bytes().all(plain) && !image.contains("..") && !image.contains("//");
    let hub = ["index.docker.io/", "docker.io/"].iter().find_map(|hub| image.strip_prefix(hub));
    let image = hub.unwrap_or(image);
    let image = image.strip_prefix("library/").unwrap_or(image);
    let id_like = image.starts_with("sha256:") || image.starts_with(['/', ':', '@']) || image.is_empty();
    if !sound || id_like || image.len() > LONGEST - 8 {
        return None;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    Some(if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") })
}
