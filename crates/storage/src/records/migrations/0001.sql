-- Devices (kind 1), owners (2) and services (3).
CREATE TABLE principals (
    id {id} PRIMARY KEY,
    kind BIGINT NOT NULL,
    name {text} NOT NULL,
    owner BIGINT REFERENCES principals (id),
    revoked BIGINT,
    reason {text},
    quarantined BIGINT,
    attributes {text},
    added BIGINT NOT NULL
);
CREATE UNIQUE INDEX principals_name ON principals (kind, name);
CREATE INDEX principals_owner ON principals (owner, name) WHERE owner IS NOT NULL;

CREATE TABLE memberships (
    principal BIGINT NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    name {text} NOT NULL,
    PRIMARY KEY (principal, name)
) {clustered};
CREATE INDEX memberships_name ON memberships (name, principal);

-- What is found by `lookup` and proves who one is. Without a principal: a certificate that was revoked and is nobody's.
CREATE TABLE credentials (
    id {id} PRIMARY KEY,
    principal BIGINT REFERENCES principals (id) ON DELETE CASCADE,
    lookup {text} NOT NULL,
    kind BIGINT NOT NULL,
    secret {bytes},
    not_before BIGINT,
    not_after BIGINT,
    added BIGINT NOT NULL,
    used BIGINT,
    revoked BIGINT,
    reason {text}
);
CREATE UNIQUE INDEX credentials_lookup ON credentials (lookup) WHERE revoked IS NULL;
CREATE INDEX credentials_revoked ON credentials (lookup) WHERE revoked IS NOT NULL;
CREATE INDEX credentials_principal ON credentials (principal);

-- What the authority gave out. It outlives its device: lists of revocation need it until it is over.
CREATE TABLE certificates (
    fingerprint {bytes} PRIMARY KEY,
    issuer {bytes} NOT NULL,
    serial {bytes} NOT NULL,
    device {text} NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    revoked BIGINT,
    reason {text}
);
CREATE UNIQUE INDEX certificates_serial ON certificates (issuer, serial);
CREATE INDEX certificates_device ON certificates (device);

-- Whose a device was. By name: it outlives the device.
CREATE TABLE ownership (
    device {text} NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    act BIGINT NOT NULL,
    before {text},
    after {text},
    actor {text} NOT NULL,
    PRIMARY KEY (device, number)
) {clustered};

-- What readers have to be told, by numbers without a gap.
CREATE TABLE changes (
    number {id} PRIMARY KEY,
    kind BIGINT NOT NULL,
    subject {text} NOT NULL,
    ends BIGINT NOT NULL,
    at BIGINT NOT NULL
);
