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
    /// By their ids; without, all.
    lent: Option<Vec<String>>,
}

impl Cards {
    /// Plays these, as the double of NVML reads them.
    pub fn play(folder: PathBuf, cards: &Value) -> Result<Self> {
        fs::create_dir_all(folder.join("plugins"))?;
        symlink(beside(PLUGIN)?, folder.join("plugins").join(PLUGIN))?;
        let double = beside("libnvml_double.so").or_else(|_| beside("deps/libnvml_double.so"))?;
        symlink(double, folder.join("libnvidia-ml.so.1"))?;
        let played = Self { folder, lent: None };
        played.now(cards)?;
        Ok(played)
    }

    #[must_use]
    pub fn lending(self, ids: &[&str]) -> Self {
        Self { lent: Some(ids.iter().map(|id| (*id).to_owned()).collect()), ..self }
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
        let lent = self.lent.as_ref().map(|ids| format!("cards = {}", json!(ids))).unwrap_or_default();
        format!(
            r#"
plugin_dir = "{folder}"
plugin "{PLUGIN}" {{
  config {{
    {lent}
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
