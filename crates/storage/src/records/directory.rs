//! Reading for people: details, lists, history, counts, and what lists of revocation say.

use super::acts::Ownership as Act;
use super::connect::{Pools, error};
use super::find::is_storable;
use super::rows::{credential_details, get, groups, kind_number, kind_of, name, status, time};
use super::writer::{Bind, micros, now, query};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use windrose_event::Subject;
use windrose_identity::{
    Counts, CredentialDetails, Details, Kind, Listing, MOST_LISTED, Ownership, RecordsError,
    RevokedCertificate, StatusFilter, Summary,
};

/// Columns of a summary.
const SUMMARY: &str = "p.id, p.kind, p.name, p.revoked, p.quarantined, o.name, o.revoked, \
     (SELECT string_agg(m.name, '\n' ORDER BY m.name) FROM memberships m WHERE m.principal = p.id)";

/// Columns of a credential's details.
const CREDENTIAL: &str =
    "c.id, c.lookup, c.kind, c.secret, c.not_before, c.not_after, c.used, c.revoked, c.added, c.reason";

/// Certificates that a list of revocation has room for.
const MOST_REVOKED: i64 = 1_000_000;

fn summary(row: &AnyRow) -> Result<Summary, RecordsError> {
    Ok(Summary {
        kind: kind_of(get(row, 1)?).unwrap_or(Kind::Device),
        id: name(row, 2)?.unwrap_or_default(),
        owner: name(row, 5)?,
        groups: groups(row, 7)?,
        status: status(time(row, 3)?, time(row, 4)?, time(row, 6)?),
    })
}

pub(super) async fn details(pools: &Pools, subject: Subject) -> Result<Option<Details>, RecordsError> {
    let (kind, id) = match &subject {
        Subject::Device(id) => (Kind::Device, id),
        Subject::Owner(id) => (Kind::Owner, id),
        Subject::Service(id) => (Kind::Service, id),
        Subject::Credential(_) | Subject::Certificate(_) => return Ok(None),
    };
    if !is_storable(id) {
        return Ok(None);
    }
    let sql = format!(
        "SELECT {SUMMARY}, p.reason, p.attributes, p.added, \
         (SELECT COUNT(*) FROM principals d WHERE d.owner = p.id) FROM principals p \
         LEFT JOIN principals o ON o.id = p.owner WHERE p.kind = $1 AND p.name = $2"
    );
    let binds = vec![kind_number(kind).into(), (&**id).into()];
    let row = query(AssertSqlSafe(sql), binds).fetch_optional(&pools.read).await.map_err(error)?;
    let Some(row) = row else { return Ok(None) };
    let sql = format!("SELECT {CREDENTIAL} FROM credentials c WHERE c.principal = $1 ORDER BY c.id");
    let binds = vec![get::<i64>(&row, 0)?.into()];
    let rows = query(AssertSqlSafe(sql), binds).fetch_all(&pools.read).await.map_err(error)?;
    let mut credentials = Vec::new();
    for row in &rows {
        credentials.extend(credential_details(row, 0)?);
    }
    Ok(Some(Details {
        summary: summary(&row)?,
        reason: get(&row, 8)?,
        attributes: get::<Option<String>>(&row, 9)?.unwrap_or_else(|| "{}".to_owned()),
        added: time(&row, 10)?.unwrap_or_default(),
        devices: u64::try_from(get::<i64>(&row, 11)?).unwrap_or(0),
        credentials,
    }))
}

pub(super) async fn list(pools: &Pools, listing: Listing) -> Result<Vec<Summary>, RecordsError> {
    let Listing { kind, owner, group, status, after, limit } = listing;
    if [&owner, &group, &after].into_iter().flatten().any(|text| !is_storable(text)) {
        return Ok(Vec::new());
    }
    let mut sql = format!(
        "SELECT {SUMMARY} FROM principals p LEFT JOIN principals o ON o.id = p.owner WHERE p.kind = $1"
    );
    let mut binds: Vec<Bind> = vec![kind_number(kind).into()];
    let mut condition = |text: &str, bind: Bind| {
        binds.push(bind);
        sql.push_str(" AND ");
        sql.push_str(&text.replace("$$", &format!("${}", binds.len())));
    };
    if let Some(owner) = owner.as_deref() {
        condition("p.owner = (SELECT w.id FROM principals w WHERE w.kind = 2 AND w.name = $$)", owner.into());
    }
    if let Some(group) = group.as_deref() {
        condition(
            "EXISTS (SELECT 1 FROM memberships g WHERE g.name = $$ AND g.principal = p.id)",
            group.into(),
        );
    }
    let time = micros(now());
    match status {
        None => {}
        Some(StatusFilter::Active) => condition(
            "p.revoked IS NULL AND o.revoked IS NULL AND (p.quarantined IS NULL OR p.quarantined <= $$)",
            time.into(),
        ),
        Some(StatusFilter::Revoked) => {
            condition("(p.revoked IS NOT NULL OR o.revoked IS NOT NULL) AND p.added <= $$", i64::MAX.into());
        }
        Some(StatusFilter::Quarantined) => {
            condition("p.revoked IS NULL AND o.revoked IS NULL AND p.quarantined > $$", time.into());
        }
    }
    if let Some(after) = after.as_deref() {
        condition("p.name > $$", after.into());
    }
    binds.push(i64::try_from(limit.min(MOST_LISTED)).unwrap_or(i64::MAX).into());
    let limit = binds.len();
    let sql = format!("{sql} ORDER BY p.name LIMIT ${limit}");
    let rows = query(AssertSqlSafe(sql), binds).fetch_all(&pools.read).await.map_err(error)?;
    rows.iter().map(summary).collect()
}

pub(super) async fn history(
    pools: &Pools,
    device: String,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Ownership>, RecordsError> {
    if !is_storable(&device) {
        return Ok(Vec::new());
    }
    let sql = "SELECT number, at, act, before, after, actor FROM ownership WHERE device = $1 AND number < $2 \
               ORDER BY number DESC LIMIT $3";
    let before = before.and_then(|number| i64::try_from(number).ok()).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit.min(MOST_LISTED)).unwrap_or(i64::MAX);
    let binds = vec![device.into(), before.into(), limit.into()];
    let rows = query(sql, binds).fetch_all(&pools.read).await.map_err(error)?;
    let read = |row: &AnyRow| {
        Ok(Ownership {
            number: u64::try_from(get::<i64>(row, 0)?).unwrap_or(0),
            at: time(row, 1)?.unwrap_or_default(),
            act: Act::name(get(row, 2)?),
            before: name(row, 3)?,
            after: name(row, 4)?,
            by: name(row, 5)?.unwrap_or_default(),
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn counts(pools: &Pools) -> Result<Counts, RecordsError> {
    let sql = "SELECT (SELECT COUNT(*) FROM principals WHERE kind = 1), (SELECT COUNT(*) FROM principals WHERE kind = 2), \
               (SELECT COUNT(*) FROM principals WHERE kind = 3), (SELECT COUNT(*) FROM credentials WHERE principal IS NOT NULL)";
    let row = query(sql, vec![]).fetch_one(&pools.read).await.map_err(error)?;
    let count = |index| get::<i64>(&row, index).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Counts { devices: count(0)?, owners: count(1)?, services: count(2)?, credentials: count(3)? })
}

pub(super) async fn credential(
    pools: &Pools,
    id: String,
) -> Result<Option<(Subject, CredentialDetails)>, RecordsError> {
    let Ok(id) = id.parse::<i64>() else { return Ok(None) };
    let sql = format!(
        "SELECT {CREDENTIAL}, p.kind, p.name FROM credentials c JOIN principals p ON p.id = c.principal WHERE c.id = $1"
    );
    let row = query(AssertSqlSafe(sql), vec![id.into()]).fetch_optional(&pools.read).await.map_err(error)?;
    let Some(row) = row else { return Ok(None) };
    let (kind, whose) = (kind_of(get(&row, 10)?), name(&row, 11)?);
    Ok(kind.zip(whose).map(|(kind, whose)| kind.subject(&whose)).zip(credential_details(&row, 0)?))
}

pub(super) async fn revoked_certificates(
    pools: &Pools,
    issuer: [u8; 32],
) -> Result<Vec<RevokedCertificate>, RecordsError> {
    let sql = "SELECT c.serial, c.revoked, c.reason, c.not_after, p.revoked, p.reason, o.revoked, o.reason \
               FROM certificates c LEFT JOIN principals p ON p.kind = 1 AND p.name = c.device \
               LEFT JOIN principals o ON o.id = p.owner WHERE c.issuer = $1 AND c.not_after > $2 \
               AND (c.revoked IS NOT NULL OR p.revoked IS NOT NULL OR o.revoked IS NOT NULL) ORDER BY c.serial LIMIT $3";
    let binds = vec![issuer.as_slice().into(), micros(now()).into(), MOST_REVOKED.into()];
    let rows = query(sql, binds).fetch_all(&pools.read).await.map_err(error)?;
    let read = |row: &AnyRow| {
        let own = time(row, 1)?;
        // What is revoked by itself stays so; what goes with its device or its owner may come back.
        let (at, reason) = match (own, time(row, 4)?, time(row, 6)?) {
            (Some(at), ..) => (at, 2),
            (_, Some(at), _) => (at, 5),
            (.., at) => (at.unwrap_or_default(), 7),
        };
        Ok(RevokedCertificate {
            serial: get(row, 0)?,
            at,
            reason: get(row, reason)?,
            not_after: time(row, 3)?.unwrap_or_default(),
            hold: own.is_none(),
        })
    };
    rows.iter().map(read).collect()
}
