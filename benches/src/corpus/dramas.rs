//! Dramas: `dramas/{id}/drama.json` with characters, episodes, scenes, and assets of all of them.

use anyhow::Result;

use super::Writer;
use super::json::{Json, Style};
use crate::random::Random;

const GENRES: [&str; 5] = ["comedy", "tragedy", "thriller", "romance", "historical"];

pub(super) fn write(size: usize, random: &mut Random, writer: &mut Writer) -> Result<()> {
    for _ in 0..size {
        let id = random.letters(12);
        writer.directory(&format!("dramas/{id}"))?;
        // pydantic 1, pydantic 2, and scripts
        let style = match random.below(10) {
            0..5 => Style::PYTHON_LINE,
            5..8 => Style::JAVASCRIPT,
            _ => Style::PYTHON,
        };
        let text = style.print(&drama(&id, random));
        writer.file(&format!("dramas/{id}/drama.json"), &text)?;
    }
    Ok(())
}

fn drama(id: &str, random: &mut Random) -> Json {
    let mut members = vec![("id", Json::Text(id.to_owned())), ("title", prose(random, 10, 50))];
    optional(&mut members, random, 80, "description", 200, 600);
    optional(&mut members, random, 90, "premise", 100, 400);
    if random.chance(70) {
        members.push(("genre", Json::Text(random.pick(&GENRES).to_owned())));
    }
    members.push(("url", if random.chance(70) { url(id, "mp4") } else { Json::null() }));
    let metadata =
        vec![("version", Json::number(random.below(4))), ("language", Json::Text("de".to_owned()))];
    members.push(("metadata", Json::Object(metadata)));
    members.push(("created_at", Json::Text(random.instant(false))));
    members.push(("updated_at", Json::Text(random.instant(false))));
    let characters = (0..random.between(4, 12)).map(|number| character(&format!("{id}-c{number}"), random));
    let characters = Json::List(characters.collect());
    let episodes = (0..random.between(3, 9)).map(|number| episode(&format!("{id}-e{number}"), random));
    let episodes = Json::List(episodes.collect());
    members.extend([("characters", characters), ("episodes", episodes), ("assets", assets(id, 2, random))]);
    Json::Object(members)
}

fn character(id: &str, random: &mut Random) -> Json {
    let mut members = vec![("id", Json::Text(id.to_owned())), ("name", prose(random, 6, 20))];
    optional(&mut members, random, 90, "description", 150, 450);
    members.push(("gender", Json::Text(random.pick(&["female", "male", "unknown"]).to_owned())));
    members.push(("voice", if random.chance(50) { prose(random, 5, 12) } else { Json::null() }));
    members.push(("assets", assets(id, 3, random)));
    Json::Object(members)
}

fn episode(id: &str, random: &mut Random) -> Json {
    let mut members = vec![("id", Json::Text(id.to_owned())), ("title", prose(random, 10, 40))];
    optional(&mut members, random, 80, "description", 100, 500);
    let scenes = (0..random.between(4, 12)).map(|number| scene(&format!("{id}-s{number}"), random));
    let scenes = Json::List(scenes.collect());
    members.extend([("scenes", scenes), ("assets", assets(id, 2, random))]);
    Json::Object(members)
}

fn scene(id: &str, random: &mut Random) -> Json {
    let mut members = vec![("id", Json::Text(id.to_owned()))];
    optional(&mut members, random, 95, "description", 200, 900);
    members.push(("assets", assets(id, 3, random)));
    Json::Object(members)
}

fn assets(of: &str, most: u64, random: &mut Random) -> Json {
    let count = random.between(0, most);
    let assets = (0..count).map(|number| {
        let id = format!("{of}-a{number}");
        let kind = random.pick(&["image", "video", "voice"]);
        let mut members = vec![("id", Json::Text(id.clone())), ("kind", Json::Text(kind.to_owned()))];
        optional(&mut members, random, 90, "prompt", 80, 300);
        members.push(("url", url(&id, "png")));
        if number > 0 {
            members.push(("depends_on", Json::List(vec![Json::Text(format!("{of}-a{}", number - 1))])));
        }
        Json::Object(members)
    });
    Json::List(assets.collect())
}

fn optional(
    members: &mut Vec<(&'static str, Json)>,
    random: &mut Random,
    percent: u64,
    key: &'static str,
    low: u64,
    high: u64,
) {
    if random.chance(percent) {
        members.push((key, prose(random, low, high)));
    }
}

fn prose(random: &mut Random, low: u64, high: u64) -> Json {
    let bytes = random.between(low, high);
    Json::Text(random.prose(usize::try_from(bytes).unwrap_or(0)))
}

fn url(id: &str, ending: &str) -> Json {
    Json::Text(format!("https://cdn.example.com/dramas/{id}.{ending}"))
}
