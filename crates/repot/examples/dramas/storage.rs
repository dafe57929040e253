//! The dramas app's storage: save, get, add an asset to a character. The app is asynchronous.

use std::fmt;

use repot::{Collection, Config, Entity, Error, Filters, Id, Repot, Result, Shared, Stored};
use serde::{Deserialize, Serialize};

/// A drama, with the parts of it that the app works with; the rest of the document stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Drama {
    pub(crate) id: String,
    pub(crate) title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) premise: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) characters: Vec<Character>,
}

/// One who acts in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Character {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) assets: Vec<Asset>,
}

/// A picture or a voice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asset {
    pub(crate) id: String,
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}

impl Entity for Drama {
    const COLLECTION: &'static str = "dramas";
    type Reach = Shared;

    fn id(&self) -> Id {
        (&self.id).into()
    }
}

/// What can go wrong when an asset is added.
#[derive(Debug)]
pub(crate) enum AddError {
    /// The drama has no such character.
    NoCharacter(String),
    /// The storage failed, or there is no such drama.
    Storage(Error),
}

impl From<Error> for AddError {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCharacter(id) => write!(f, "the drama has no character {id}"),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

/// Where the app keeps its dramas.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    dramas: Collection<Drama>,
}

impl Storage {
    pub(crate) async fn open(config: Config) -> Result<Self> {
        Ok(Self { dramas: Repot::open(config).await?.collection() })
    }

    /// Writes what differs from what is there, or a new drama.
    pub(crate) async fn save_drama(&self, drama: Drama) -> Result<Stored<Drama>> {
        self.dramas.save(drama).await
    }

    pub(crate) async fn get_drama(&self, id: &str) -> Result<Option<Stored<Drama>>> {
        self.dramas.get(id).await
    }

    /// Does not read the drama.
    pub(crate) async fn drama_exists(&self, id: &str) -> Result<bool> {
        self.dramas.exists(id).await
    }

    /// Those of a genre, newest first.
    pub(crate) async fn dramas_of_genre(&self, genre: &str, limit: usize) -> Result<Vec<Stored<Drama>>> {
        self.dramas.find(&Filters::all().eq("genre", genre).descending("created_at"), limit, 0).await
    }

    /// Adds an asset, once, whoever else adds some at the same time: none is lost.
    pub(crate) async fn add_asset_to_character(
        &self,
        drama: &str,
        character: &str,
        asset: Asset,
    ) -> Result<Stored<Drama>, AddError> {
        self.dramas
            .edit(drama, |drama| {
                let found = drama.characters.iter_mut().find(|one| one.id == character);
                let found = found.ok_or_else(|| AddError::NoCharacter(character.to_owned()))?;
                if found.assets.iter().all(|one| one.id != asset.id) {
                    found.assets.push(asset.clone());
                }
                Ok(())
            })
            .await
    }
}
