//! Changes: what readers are told, by number.

use super::connect::{Pools, error};
use super::rows::get;
use super::writer::{query, subject};
use windrose_identity::{Changes, Noted, RecordsError};

/// Changes that one answer tells of.
const MOST: i64 = 4_096;

/// What changed after the change of that number.
pub(super) async fn after(pools: &Pools, number: u64) -> Result<Changes, RecordsError> {
    let sql = "SELECT number, kind, subject, ends FROM changes WHERE number > $1 ORDER BY number LIMIT $2";
    let after = i64::try_from(number).unwrap_or(i64::MAX);
    let rows = query(sql, vec![after.into(), MOST.into()]).fetch_all(&pools.read).await.map_err(error)?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in &rows {
        let text: String = get(row, 2)?;
        let (number, kind) = (get::<i64>(row, 0)?, get(row, 1)?);
        let number = u64::try_from(number).unwrap_or(0);
        let Some(subject) = subject(kind, &text) else {
            // A later program wrote it, and this one does not know what it has to forget.
            return Ok(Changes::Lost { newest: newest(pools).await? });
        };
        listed.push(Noted { number, subject, ends: get::<i64>(row, 3)? != 0 });
    }
    // Numbers have no gap: if the next one is gone, so are those that the reader has not seen. And a number that is not there
    // yet is of a registry that was put in this one's place.
    let missed = match listed.first() {
        Some(first) => first.number > number.saturating_add(1),
        None => number > 0 && newest(pools).await? < number,
    };
    if missed { Ok(Changes::Lost { newest: newest(pools).await? }) } else { Ok(Changes::Listed(listed)) }
}

/// The number of the newest change.
pub(super) async fn newest(pools: &Pools) -> Result<u64, RecordsError> {
    let row = query("SELECT MAX(number) FROM changes", vec![]).fetch_one(&pools.read).await.map_err(error)?;
    let number: Option<i64> = get(&row, 0)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
}
