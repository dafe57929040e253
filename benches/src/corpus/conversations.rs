//! Council chats: `{user_id}/{id}.json` and `{user_id}/usage.json`, as several versions of an app would have
//! left them: Python and JavaScript writers, fields that came later, stages only in the newer answers.

use anyhow::Result;

use super::Writer;
use super::json::{Json, Style};
use crate::random::Random;

const CONVERSATIONS_PER_USER: usize = 25;

const MODELS: [&str; 4] = ["north/large", "harbor/mini", "quill/medium", "fern/small"];

pub(super) fn write(size: usize, random: &mut Random, writer: &mut Writer) -> Result<()> {
    let mut user = String::new();
    for number in 0..size {
        if number % CONVERSATIONS_PER_USER == 0 {
            user = random.letters(28);
            writer.directory(&user)?;
            let text = Style::PYTHON.print(&usage(&user, random));
            writer.file(&format!("{user}/usage.json"), &text)?;
        }
        chat(&user, random, writer)?;
    }
    Ok(())
}

/// Only conversations, `per_user` of each user; gives user and id of each.
pub(super) fn chats(
    size: usize,
    per_user: usize,
    random: &mut Random,
    writer: &mut Writer,
) -> Result<Vec<(String, String)>> {
    let mut user = String::new();
    let mut made = Vec::with_capacity(size);
    for number in 0..size {
        if number % per_user == 0 {
            user = random.letters(28);
            writer.directory(&user)?;
        }
        made.push((user.clone(), chat(&user, random, writer)?));
    }
    Ok(made)
}

/// Writes one file; gives its id.
fn chat(user: &str, random: &mut Random, writer: &mut Writer) -> Result<String> {
    let style = match random.below(20) {
        0..8 => Style::PYTHON,
        8..11 => Style::PYTHON_UTF8,
        11..13 => Style::PYTHON_LINE,
        _ => Style::JAVASCRIPT,
    };
    let id = random.uuid();
    let text = style.print(&conversation(&id, user, style == Style::JAVASCRIPT, random));
    writer.file(&format!("{user}/{id}.json"), &text)?;
    Ok(id)
}

/// The text of a conversation as JavaScript writes it.
pub(super) fn text_of(id: &str, user: &str, random: &mut Random) -> String {
    Style::JAVASCRIPT.print(&conversation(id, user, true, random))
}

fn conversation(id: &str, user: &str, javascript: bool, random: &mut Random) -> Json {
    let mut members = vec![("id", Json::Text(id.to_owned())), ("user_id", Json::Text(user.to_owned()))];
    // old files have no title, the model's default stands for it
    if random.chance(95) {
        let bytes = usize::try_from(random.between(12, 60)).unwrap_or(12);
        members.push(("title", Json::Text(random.prose(bytes))));
    }
    members.push(("created_at", Json::Text(random.instant(javascript))));
    if random.chance(40) {
        members.push(("updated_at", Json::Text(random.instant(javascript))));
    }
    // a field that the model does not name
    if random.chance(10) {
        members.push(("pinned", Json::Plain("true".to_owned())));
    }
    let count = random.between(5, 53);
    let messages = (0..count).map(|number| message(number % 2 == 0, random)).collect();
    members.push(("messages", Json::List(messages)));
    Json::Object(members)
}

fn message(user: bool, random: &mut Random) -> Json {
    let role = ("role", Json::Text(if user { "user" } else { "assistant" }.to_owned()));
    if user || random.chance(90) {
        let bytes = usize::try_from(random.between(20, 110)).unwrap_or(20);
        return Json::Object(vec![role, ("content", Json::Text(random.prose(bytes)))]);
    }
    let stage1 = MODELS
        .iter()
        .take(2)
        .map(|model| Json::Object(vec![("model", text(model)), ("response", Json::Text(random.prose(60)))]));
    let stage1 = Json::List(stage1.collect());
    let stage2 = vec![Json::Object(vec![
        ("model", text(random.pick(&MODELS))),
        ("ranking", Json::Text(random.prose(30))),
    ])];
    let stage3 = vec![("model", text(random.pick(&MODELS))), ("response", Json::Text(random.prose(70)))];
    let mut members = vec![role];
    if random.chance(50) {
        members.push(("content", Json::null()));
    }
    members.extend([("stage1", stage1), ("stage2", Json::List(stage2)), ("stage3", Json::Object(stage3))]);
    if random.chance(60) {
        let score = Json::Plain(format!("{}.{:02}", random.below(5), random.below(100)));
        members.push((
            "metadata",
            Json::Object(vec![("score", score), ("tokens", Json::number(random.below(4_000)))]),
        ));
    }
    Json::Object(members)
}

fn usage(user: &str, random: &mut Random) -> Json {
    let today = format!("2024-{:02}-{:02}", random.between(1, 12), random.between(1, 28));
    Json::Object(vec![
        ("user_id", Json::Text(user.to_owned())),
        ("tier", text(random.pick(&["free", "free", "pro", "enterprise"]))),
        ("daily_used", Json::number(random.below(10))),
        ("daily_limit", Json::number(10)),
        ("monthly_used", Json::number(random.below(100))),
        ("monthly_limit", Json::number(100)),
        ("total_queries", Json::number(random.below(5_000))),
        ("last_reset_daily", Json::Text(today.clone())),
        ("last_reset_monthly", Json::Text(today)),
    ])
}

fn text(value: &str) -> Json {
    Json::Text(value.to_owned())
}
