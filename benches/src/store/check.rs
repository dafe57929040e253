//! What is measured is the same work: both ways give the same answers, and what they write is there afterwards.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use serde_json::Value;

use super::work::{Call, Client, Way, Work};
use crate::random::Random;

/// Conversations that are looked at.
const LOOKED_AT: usize = 20;

/// Every way gives the same documents and lists.
pub(crate) async fn same_answers(ways: &[Box<dyn Way>], chats: &[(String, String)]) -> Result<()> {
    for work in Work::ALL.into_iter().filter(|work| work.reads()) {
        let mut random = Random::new(7);
        for _ in 0..LOOKED_AT {
            let call = Call::random(work, chats, &mut random);
            let mut answers = Vec::new();
            for way in ways {
                answers.push(essence(&way.client().await?.call(&call).await?)?);
            }
            ensure!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{}: {answers:?}", work.name());
        }
    }
    Ok(())
}

/// What each way writes it reads again.
pub(crate) async fn writes_arrive(ways: &[Box<dyn Way>], chats: &[(String, String)]) -> Result<()> {
    for way in ways {
        let mut client = way.client().await?;
        let mut random = Random::new(11);
        for _ in 0..LOOKED_AT {
            let call = Call::random(Work::Put, chats, &mut random);
            client.call(&call).await?;
            let put = one(client.as_mut(), &call).await?;
            ensure!(put == essence(&[Bytes::from(call.text.clone())])?, "{}: {put:?}", way.name());
            for (work, text) in [(Work::Append, "a last word"), (Work::Rename, "another title")] {
                client.call(&Call { work, text: text.to_owned(), ..call.clone() }).await?;
            }
            let changed = one(client.as_mut(), &call).await?;
            let (before, after) = (&put[0], &changed[0]);
            ensure!(after.title == "another title", "{}: {after:?}", way.name());
            ensure!(after.messages.len() == before.messages.len() + 1, "{}: {after:?}", way.name());
            let last = after.messages.last().context("a message was appended")?;
            ensure!(*last == ("user".to_owned(), Value::from("a last word")), "{}: {last:?}", way.name());
        }
    }
    Ok(())
}

async fn one(client: &mut dyn Client, call: &Call) -> Result<Vec<Essence>> {
    essence(&client.call(&Call { work: Work::Get, ..call.clone() }).await?)
}

/// What both ways give: by hand neither spelling nor what the model does not name is kept.
#[derive(Debug, PartialEq)]
struct Essence {
    id: String,
    title: String,
    messages: Vec<(String, Value)>,
}

fn essence(texts: &[Bytes]) -> Result<Vec<Essence>> {
    texts.iter().map(|text| Essence::of(text)).collect()
}

impl Essence {
    fn of(text: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(text)?;
        let word = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = value.get("messages").and_then(Value::as_array);
        let message = |one: &Value| {
            let content = one.get("content").cloned().unwrap_or_default();
            (word(one, "role").unwrap_or_default(), content)
        };
        Ok(Self {
            id: word(&value, "id").context("an id")?,
            title: word(&value, "title").unwrap_or_else(|| "New Conversation".to_owned()),
            messages: list.into_iter().flatten().map(message).collect(),
        })
    }
}
