//! A block of the configuration, read key by key into what is already known.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    go,
    hcl::{Item, Value},
};

/// A block whose keys are taken one by one; what is left over at the end is refused.
pub(super) struct Block {
    name: &'static str,
    items: Vec<Item>,
}

impl Block {
    pub(super) fn new(name: &'static str, items: Vec<Item>) -> Self {
        Self { name, items }
    }

    pub(super) fn take_all(&mut self, key: &str) -> Vec<Item> {
        let (taken, rest) = std::mem::take(&mut self.items).into_iter().partition(|item| item.keys[0] == key);
        self.items = rest;
        taken
    }

    pub(super) fn skip(&mut self, keys: &[&str]) {
        self.items.retain(|item| !keys.contains(&item.keys[0].as_str()));
    }

    pub(super) fn maybe_text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => text_of(value).map(Some).ok_or_else(|| format!("{key} must be a string")),
        }
    }

    pub(super) fn text(&mut self, key: &str, into: &mut String) -> Result<(), String> {
        if let Some(text) = self.maybe_text(key)? {
            *into = text;
        }
        Ok(())
    }

    pub(super) fn path(&mut self, key: &str, into: &mut PathBuf) -> Result<(), String> {
        if let Some(text) = self.maybe_text(key)? {
            *into = Path::new(&text).to_path_buf();
        }
        Ok(())
    }

    pub(super) fn flag(&mut self, key: &str, into: &mut bool) -> Result<(), String> {
        match self.take(key) {
            None => Ok(()),
            Some(Value::Bool(flag)) => {
                *into = flag;
                Ok(())
            }
            Some(_) => Err(format!("{key} must be true or false")),
        }
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &str, into: &mut T) -> Result<(), String> {
        match self.take(key) {
            None => Ok(()),
            Some(Value::Number(number)) if number >= 0.0 && number.fract() == 0.0 => {
                *into = T::try_from(number as u64).map_err(|_| format!("{key} is out of range"))?;
                Ok(())
            }
            Some(_) => Err(format!("{key} must be a number")),
        }
    }

    pub(super) fn duration(&mut self, key: &str, into: &mut Duration) -> Result<(), String> {
        if let Some(text) = self.maybe_text(key)? {
            *into = go::duration(&text).ok_or_else(|| format!("time: invalid duration {text:?}"))?;
        }
        Ok(())
    }

    /// The texts of a list; a value that is no list is passed over.
    pub(super) fn list(&mut self, key: &str, into: &mut Vec<String>) {
        if let Some(Value::List(list)) = self.take(key) {
            *into = list.into_iter().filter_map(text_of).collect();
        }
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, String> {
        let Some(block) = self.block(key)? else { return Ok(BTreeMap::new()) };
        let pair = |item: Item| {
            let name = item.keys.join(".");
            text_of(item.value)
                .map(|text| (name.clone(), text))
                .ok_or(format!("{key} {name} must be a string"))
        };
        block.items.into_iter().map(pair).collect()
    }

    /// All blocks of this name as one, if there are any.
    pub(super) fn block(&mut self, key: &'static str) -> Result<Option<Block>, String> {
        let mut items = Vec::new();
        let found = self.take_all(key);
        let any = !found.is_empty();
        for item in found {
            let Value::Object(inner) = item.value else { return Err(format!("{key} must be a block")) };
            items.extend(inner);
        }
        Ok(any.then(|| Block::new(key, items)))
    }

    /// Reads the block of this name, if there is one; what `read` leaves over in it is refused.
    pub(super) fn within(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Block) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(mut block) = self.block(key)? else { return Ok(()) };
        read(&mut block)?;
        block.end()
    }

    /// A block of which nothing but the names of its keys matters.
    pub(super) fn skip_within(&mut self, key: &'static str, keys: &[&str]) -> Result<(), String> {
        self.within(key, |block| {
            block.skip(keys);
            Ok(())
        })
    }

    pub(super) fn end(self) -> Result<(), String> {
        let left: Vec<_> = self.items.iter().map(|item| item.keys[0].as_str()).collect();
        if left.is_empty() {
            return Ok(());
        }
        let space = if self.name.is_empty() { "" } else { " " };
        Err(format!("{}{space}unexpected keys {}", self.name, left.join(", ")))
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.take_all(key).pop().map(|item| item.value)
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::List(_) | Value::Object(_) => None,
    }
}
