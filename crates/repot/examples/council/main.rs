//! The council app's storage, on whatever `DATABASE_URL` names, else on the files in `./data`:
//! `DATABASE_URL=sqlite:///council.db cargo run -p repot --example council -- apps/council/repot.toml`

#![expect(clippy::print_stdout, reason = "this program prints what it did")]

pub(crate) mod storage;

use std::hash::{BuildHasher as _, RandomState};

use repot::Config;
use storage::{Message, Storage};

fn main() -> Result<(), repot::Error> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "repot.toml".to_owned());
    run(Config::from_env(model)?)
}

/// What the program does; leaves nothing behind.
pub(crate) fn run(config: Config) -> Result<(), repot::Error> {
    let storage = Storage::open(config, uuid4)?;
    println!("{}", storage.describe());
    let id = storage.create_conversation("u1", None)?.id;
    storage.add_user_message(&id, "Should a small bakery open on Sundays?", "u1")?;
    let answer = Message { stage3: Some("It depends on cost.".into()), ..Message::default() };
    storage.add_assistant_message(&id, answer, "u1")?;
    storage.update_conversation_title(&id, "Sundays", "u1")?;
    for conversation in storage.list_conversations("u1")? {
        println!("{}  {}  {} messages", conversation.id, conversation.title, conversation.message_count);
    }
    if let Some(mut conversation) = storage.get_conversation(&id, "u1")? {
        conversation.title.push('!');
        storage.save_conversation(&conversation, "u1")?;
    }
    println!("deleted: {}", storage.delete_conversation(&id, "u1")?);
    Ok(())
}

/// Good enough for an example: the standard library's seeds are random.
fn uuid4() -> String {
    let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
    let (high, low) = (high & !0xf000 | 0x4000, low >> 2 | 1 << 63);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
