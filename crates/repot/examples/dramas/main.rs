//! The dramas app's storage, on whatever `DATABASE_URL` names, else where the model says:
//! `DATABASE_URL=s3://dramas-bucket cargo run -p repot --example dramas -- apps/dramas/repot.toml`

#![expect(clippy::print_stdout, reason = "this program prints what it did")]

pub(crate) mod storage;

use repot::Config;
use storage::{AddError, Asset, Character, Drama, Storage};

#[tokio::main]
async fn main() -> Result<(), AddError> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "repot.toml".to_owned());
    run(Config::from_env(model)?).await
}

/// What the program does; can be run again.
pub(crate) async fn run(config: Config) -> Result<(), AddError> {
    let storage = Storage::open(config).await?;
    if !storage.drama_exists("harbour").await? {
        let mara =
            Character { id: "harbour-mara".to_owned(), name: "Mara".to_owned(), ..Character::default() };
        let drama = Drama {
            id: "harbour".to_owned(),
            title: "The Harbour".to_owned(),
            created_at: Some("2026-01-02T03:04:05Z".to_owned()),
            characters: vec![mara],
            ..Drama::default()
        };
        storage.save_drama(drama).await?;
    }
    let asset = Asset { id: "harbour-a1".to_owned(), kind: "portrait".to_owned(), url: None };
    storage.add_asset_to_character("harbour", "harbour-mara", asset).await?;
    if let Some(drama) = storage.get_drama("harbour").await? {
        println!("{}", String::from_utf8_lossy(drama.body()));
    }
    println!("thrillers: {}", storage.dramas_of_genre("thriller", 10).await?.len());
    Ok(())
}
