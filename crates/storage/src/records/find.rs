//! Finding: what letting somebody in asks, in one question.

use super::connect::{Pools, error};
use super::rows::{MOST_OWNED, credential, get, groups, kind_number, kind_of, name, principal, status, time};
use super::writer::{Bind, placeholders, query};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use std::sync::Arc;
use windrose_event::{Principal, Subject};
use windrose_identity::{Credential, CredentialSecret, Found, Kind, Lookup, Record, RecordsError, Status};

/// Things that one claim can be found by: a certificate with hundreds of alternative names is no device's.
const MOST_LOOKUPS: usize = 256;

/// Bytes of a lookup: none that is longer can have been stored.
pub(super) const MOST_LOOKUP: usize = 1_024;

/// Columns of a principal (0 to 7) and of its credentials (8 to 15).
const COLUMNS: &str = "p.id, p.kind, p.name, p.revoked, p.quarantined, o.name, o.revoked, \
     (SELECT string_agg(m.name, '\n' ORDER BY m.name) FROM memberships m WHERE m.principal = p.id), \
     c.id, c.lookup, c.kind, c.secret, c.not_before, c.not_after, c.used, c.revoked";

/// Whether a lookup can have been stored. PostgreSQL has no texts with a zero in them, and would say so.
pub(super) fn is_storable(text: &str) -> bool {
    text.len() <= MOST_LOOKUP && !text.contains('\0')
}

/// Those that are found by one of the lookups.
pub(super) async fn find(pools: &Pools, lookups: Vec<Lookup>) -> Result<Vec<Found>, RecordsError> {
    if lookups.len() > MOST_LOOKUPS {
        let problem =
            format!("nobody is looked for by {} things at once: {MOST_LOOKUPS} at most", lookups.len());
        return Err(RecordsError::Invalid(problem));
    }
    let texts: Vec<String> = lookups.iter().map(Lookup::text).collect();
    let mut binds: Vec<Bind> =
        texts.iter().filter(|text| is_storable(text)).map(|text| text.as_str().into()).collect();
    let Some(last) = binds.last().cloned() else { return Ok(Vec::new()) };
    // Statements are prepared once each: a few lengths will do for all.
    binds.resize(binds.len().next_power_of_two(), last);
    let places = placeholders(0, binds.len());
    // Two indexes, one of what was revoked and one of what was not: each is asked by itself.
    let sql = format!(
        "SELECT {COLUMNS}, f.lookup, f.id, f.revoked FROM credentials f \
         LEFT JOIN principals p ON p.id = f.principal LEFT JOIN principals o ON o.id = p.owner \
         LEFT JOIN credentials c ON c.principal = f.principal \
         WHERE f.id IN (SELECT id FROM credentials WHERE lookup IN ({places}) AND revoked IS NULL \
         UNION ALL SELECT id FROM credentials WHERE lookup IN ({places}) AND revoked IS NOT NULL) \
         ORDER BY f.id, c.id"
    );
    let rows = query(AssertSqlSafe(sql), binds).fetch_all(&pools.read).await.map_err(error)?;

    let mut hits: Vec<Hit> = Vec::new();
    for row in &rows {
        let id: i64 = get(row, 17)?;
        if hits.last().is_none_or(|hit| hit.id != id) {
            let text: String = get(row, 16)?;
            let Some(index) = texts.iter().position(|known| *known == text) else { continue };
            let revoked = time(row, 18)?.is_some();
            hits.push(Hit { id, index, revoked, record: record_of(row)? });
        }
        if let (Some(hit), Some(credential)) = (hits.last_mut(), credential(row, 8)?) {
            hit.record.credentials.push(credential);
        }
    }
    let good: Vec<usize> = hits.iter().filter(|hit| !hit.revoked).map(|hit| hit.index).collect();
    // Of several that were revoked the last one tells why somebody is refused.
    let last_of = |index| hits.iter().rev().find(|hit: &&Hit| hit.index == index).map(|hit| hit.id);
    let kept: Vec<bool> = hits
        .iter()
        .map(|hit| !hit.revoked || !good.contains(&hit.index) && last_of(hit.index) == Some(hit.id))
        .collect();
    let mut found = Vec::new();
    for (mut hit, _) in hits.into_iter().zip(kept).filter(|(_, kept)| *kept) {
        if hit.record.principal == Principal::Anonymous
            && let Some(lookup) = lookups.get(hit.index)
        {
            hit.record.credentials = vec![Credential {
                id: hit.id.to_string().into(),
                lookup: lookup.clone(),
                secret: CredentialSecret::None,
                not_before: None,
                not_after: None,
                revoked: true,
            }];
        }
        with_owned(pools, &mut hit.record).await?;
        found.push((hit.index, Arc::new(hit.record)));
    }
    found.sort_by_key(|(index, _)| *index);
    Ok(found)
}

/// A credential that was found.
struct Hit {
    id: i64,
    index: usize,
    revoked: bool,
    record: Record,
}

/// The record of somebody, or of whose a credential is.
pub(super) async fn record(pools: &Pools, subject: Subject) -> Result<Option<Arc<Record>>, RecordsError> {
    let (condition, binds): (&str, Vec<Bind>) = match &subject {
        Subject::Device(id) => {
            ("p.kind = $1 AND p.name = $2", vec![kind_number(Kind::Device).into(), (&**id).into()])
        }
        Subject::Owner(id) => {
            ("p.kind = $1 AND p.name = $2", vec![kind_number(Kind::Owner).into(), (&**id).into()])
        }
        Subject::Service(id) => {
            ("p.kind = $1 AND p.name = $2", vec![kind_number(Kind::Service).into(), (&**id).into()])
        }
        Subject::Credential(id) => {
            let Ok(id) = id.parse::<i64>() else { return Ok(None) };
            ("p.id = (SELECT principal FROM credentials WHERE id = $1)", vec![id.into()])
        }
        Subject::Certificate(digest) => {
            let lookup = Lookup::Fingerprint(*digest);
            return Ok(find(pools, vec![lookup]).await?.pop().map(|(_, record)| record));
        }
    };
    if binds.iter().any(|bind| matches!(bind, Bind::Text(Some(text)) if !is_storable(text))) {
        return Ok(None);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM principals p LEFT JOIN principals o ON o.id = p.owner \
         LEFT JOIN credentials c ON c.principal = p.id WHERE {condition} ORDER BY c.id"
    );
    let rows = query(AssertSqlSafe(sql), binds).fetch_all(&pools.read).await.map_err(error)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut record = record_of(first)?;
    for row in &rows {
        record.credentials.extend(credential(row, 8)?);
    }
    with_owned(pools, &mut record).await?;
    Ok(Some(Arc::new(record)))
}

/// What a row says of a principal.
fn record_of(row: &AnyRow) -> Result<Record, RecordsError> {
    let kind = get::<Option<i64>>(row, 1)?.and_then(kind_of);
    let principal = match (kind, name(row, 2)?) {
        (Some(kind), Some(its)) => principal(kind, its, name(row, 5)?),
        _ => Principal::Anonymous,
    };
    let status = match principal {
        Principal::Anonymous => Status::Revoked,
        _ => status(time(row, 3)?, time(row, 4)?, time(row, 6)?),
    };
    Ok(Record {
        principal,
        groups: groups(row, 7)?.into(),
        owned: Arc::default(),
        status,
        credentials: Vec::new(),
    })
}

/// What an owner owns. Devices, who come by the million, need no second question.
async fn with_owned(pools: &Pools, record: &mut Record) -> Result<(), RecordsError> {
    let Principal::Owner { id } = &record.principal else { return Ok(()) };
    let sql = "SELECT d.name FROM principals d JOIN principals o ON o.id = d.owner \
               WHERE o.kind = 2 AND o.name = $1 ORDER BY d.name LIMIT $2";
    let binds = vec![(&**id).into(), (MOST_OWNED as i64 + 1).into()];
    let rows = query(sql, binds).fetch_all(&pools.read).await.map_err(error)?;
    if rows.len() > MOST_OWNED {
        return Err(RecordsError::Conflict(format!(
            "the owner {id} owns more than {MOST_OWNED} devices: give some of them to another owner, or to a group"
        )));
    }
    record.owned = rows.iter().map(|row| get::<String>(row, 0).map(Into::into)).collect::<Result<_, _>>()?;
    Ok(())
}
