//! Every sentence a person may read, out of `locales/`, for the tray, the notices and the command line.
//! The window's page reads the same file.

mod figures;
mod of_core;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

pub use figures::{duration, money};

const ENGLISH: &str = include_str!("../../../locales/en.ftl");

/// Arguments that are numbers, so that a sentence can have a plural. All others are text.
const NUMBERS: [&str; 4] = ["hours", "minutes", "left", "count"];

/// The sentences of one language.
pub struct Words {
    bundle: FluentBundle<FluentResource>,
}

impl Words {
    /// The sentences for a locale such as `de-AT`; English where there are none of its own.
    pub fn for_locale(_locale: &str) -> Self {
        Self::english()
    }

    /// The language that this desktop session is set to.
    pub fn of_this_desktop() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok());
        Self::for_locale(set.as_deref().unwrap_or("en"))
    }

    fn english() -> Self {
        let mut bundle = FluentBundle::new_concurrent(vec![LanguageIdentifier::default()]);
        // The sentences go into menus, logs of tests and support mail, where direction marks are noise.
        bundle.set_use_isolating(false);
        // A test keeps the file free of errors; what cannot be read is left out rather than ending the program.
        let resource = FluentResource::try_new(ENGLISH.to_owned()).unwrap_or_else(|(readable, _)| readable);
        bundle.add_resource_overriding(resource);
        Self { bundle }
    }

    /// The sentence `id` with its arguments. An unknown id comes back as itself.
    pub fn say(&self, id: &str, args: &[(&str, &str)]) -> String {
        self.say_with(id, args.iter().copied())
    }

    fn say_with<'a>(&self, id: &str, args: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let Some(pattern) = self.bundle.get_message(id).and_then(|message| message.value()) else {
            return id.to_owned();
        };
        let args: FluentArgs<'_> =
            args.into_iter().map(|(name, value)| (name, argument(name, value))).collect();
        self.bundle.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned()
    }
}

fn argument<'a>(name: &str, value: &'a str) -> FluentValue<'a> {
    if NUMBERS.contains(&name) { FluentValue::try_number(value) } else { FluentValue::from(value) }
}

#[cfg(test)]
mod tests;
