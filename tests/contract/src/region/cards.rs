//! Graphics cards that are played, and the plugin that gives them to jobs: the project's own program, as the app places it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::set_up::beside;

/// What the double of NVML calls the first two cards.
pub const FIRST: &str = "GPU-00000000-0000-4000-8000-000000000000";
pub const SECOND: &str = "GPU-00000000-0000-4000-8000-000000000001";

const PLUGIN: &str = "ionet-card-plugin";

/// The cards of one client.
#[derive(Clone)]
pub struct Cards {
    folder: PathBuf,
    /// By their ids: without another word, all that are played.
    lent: Vec<String>,
}

impl Cards {
    /// Plays these, as the double of NVML reads them.
    pub fn play(folder: PathBuf, cards: &Value) -> Result<Self> {
        fs::create_dir_all(folder.join("plugins"))?;
        symlink(beside(PLUGIN)?, folder.join("plugins").join(PLUGIN))?;
        let double = beside("libnvml_double.so").or_else(|_| beside("deps/libnvml_double.so"))?;
        symlink(double, folder.join("libnvidia-ml.so.1"))?;
        let count = cards.as_array().map_or(0, Vec::len);
        let lent = (0..count).map(|nth| format!("GPU-00000000-0000-4000-8000-{nth:012}")).collect();
        let played = Self { folder, lent };
        played.now(cards)?;
        Ok(played)
    }

    #[must_use]
    pub fn lending(self, ids: &[&str]) -> Self {
        Self { lent: ids.iter().map(|id| (*id).to_owned()).collect(), ..self }
    }

    /// From now on these are played. At once: the plugin may be reading.
    pub fn now(&self, cards: &Value) -> Result<()> {
        fs::write(self.folder.join("next"), json!({ "cards": cards }).to_string())?;
        fs::rename(self.folder.join("next"), self.script())?;
        Ok(())
    }

    pub(super) fn env(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_LIBRARY_PATH".into(), text(&self.folder)), ("IONET_NVML_SCRIPT".into(), text(&self.script()))]
    }

    pub(super) fn configuration(&self) -> String {
        let lent = json!(self.lent);
        format!(
            r#"
plugin_dir = "{folder}"
plugin "{PLUGIN}" {{
  config {{
    cards = {lent}
  }}
}}
"#,
            folder = self.folder.join("plugins").display(),
        )
    }

    fn script(&self) -> PathBuf {
        self.folder.join("script.json")
    }
}
