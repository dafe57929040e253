//! The council app's eight storage functions. The app is synchronous, so they wait.
//!
//! Where its own storage answered `False` for whatever went wrong, these answer `false` when the conversation is not
//! there, and give an error when it is not known.

use repot::blocking::{Collection, Repot};
use repot::{Config, Entity, Error, Filters, Id, PerTenant, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Newest conversations in a list.
const LISTED: usize = 50;

/// A conversation, as it stands in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<String>,
    pub(crate) messages: Vec<Message>,
}

/// What the user said, or what the council answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage1: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage2: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage3: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Value>,
}

impl Entity for Conversation {
    const COLLECTION: &'static str = "conversations";
    type Reach = PerTenant;

    fn id(&self) -> Id {
        (&self.id).into()
    }
}

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) created_at: Option<String>,
    pub(crate) message_count: usize,
}

/// Where the app keeps its conversations: files or a database, as the config says.
pub(crate) struct Storage {
    repot: Repot,
    new_id: fn() -> String,
}

impl Storage {
    /// Opens it. `new_id` makes the ids of new conversations.
    pub(crate) fn open(config: Config, new_id: fn() -> String) -> Result<Self> {
        Ok(Self { repot: Repot::open(config)?, new_id })
    }

    /// For the line that the app logs when it starts.
    pub(crate) fn describe(&self) -> String {
        format!("Using {}", self.repot)
    }

    fn of(&self, user_id: &str) -> Collection<Conversation> {
        self.repot.tenant(user_id).collection()
    }

    pub(crate) fn create_conversation(
        &self,
        user_id: &str,
        conversation_id: Option<&str>,
    ) -> Result<Conversation> {
        let conversation = Conversation {
            id: conversation_id.map_or_else(self.new_id, str::to_owned),
            user_id: user_id.to_owned(),
            title: "New Conversation".to_owned(),
            created_at: Some(self.repot.now()),
            messages: Vec::new(),
        };
        Ok(self.of(user_id).create(conversation)?.into_inner())
    }

    pub(crate) fn get_conversation(
        &self,
        conversation_id: &str,
        user_id: &str,
    ) -> Result<Option<Conversation>> {
        Ok(self.of(user_id).get(conversation_id)?.map(repot::Stored::into_inner))
    }

    pub(crate) fn save_conversation(&self, conversation: &Conversation, user_id: &str) -> Result<bool> {
        self.of(user_id).save(conversation.clone())?;
        Ok(true)
    }

    /// The 50 newest.
    pub(crate) fn list_conversations(&self, user_id: &str) -> Result<Vec<Summary>> {
        let found = self.of(user_id).find(&Filters::all().descending("created_at"), LISTED, 0)?;
        let summary = |conversation: Conversation| Summary {
            message_count: conversation.messages.len(),
            id: conversation.id,
            title: conversation.title,
            created_at: conversation.created_at,
        };
        Ok(found.into_iter().map(|stored| summary(stored.into_inner())).collect())
    }

    pub(crate) fn add_user_message(
        &self,
        conversation_id: &str,
        content: &str,
        user_id: &str,
    ) -> Result<bool> {
        let message =
            Message { role: "user".to_owned(), content: Some(content.to_owned()), ..Message::default() };
        self.add(conversation_id, &message, user_id)
    }

    /// Adds an answer: the three stages and what is known about them, in `answer`.
    pub(crate) fn add_assistant_message(
        &self,
        conversation_id: &str,
        answer: Message,
        user_id: &str,
    ) -> Result<bool> {
        self.add(conversation_id, &Message { role: "assistant".to_owned(), ..answer }, user_id)
    }

    /// An append: whoever else adds a message meanwhile, both are there after it.
    fn add(&self, conversation_id: &str, message: &Message, user_id: &str) -> Result<bool> {
        there(self.of(user_id).append(conversation_id, "/messages", message))
    }

    pub(crate) fn update_conversation_title(
        &self,
        conversation_id: &str,
        title: &str,
        user_id: &str,
    ) -> Result<bool> {
        there(self.of(user_id).edit(conversation_id, |conversation| {
            title.clone_into(&mut conversation.title);
            Ok::<_, Error>(())
        }))
    }

    pub(crate) fn delete_conversation(&self, conversation_id: &str, user_id: &str) -> Result<bool> {
        self.of(user_id).delete(conversation_id)
    }
}

/// False when the document was not there.
fn there<T>(done: Result<T>) -> Result<bool> {
    match done {
        Ok(_) => Ok(true),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
