// Where keys, sessions and grants lie: in memory, and with a folder also in one file of it.
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @returns {{signingKey: object, cookieKey: string, adapter: Function}} */
export function openStore(folder) {
  const file = folder && join(folder, 'identity.json');
  const kept = file && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const signingKey = kept.signingKey ?? newSigningKey();
  const cookieKey = kept.cookieKey ?? randomBytes(32).toString('hex');
  const records = new Map(kept.records ?? []);

  const save = () => {
    forgetExpired(records);
    if (!file) {
      return;
    }
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const text = JSON.stringify({ signingKey, cookieKey, records: [...records] });
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  save();
  return { signingKey, cookieKey, adapter: (model) => new Adapter(model, records, save) };
}

/** The few verbs that the library asks of a store. There are few records, so looking through all of them is fine. */
class Adapter {
  constructor(model, records, save) {
    Object.assign(this, { model, records, save });
  }

  async upsert(id, payload, expiresIn) {
    const expiresAt = expiresIn ? Date.now() + expiresIn * 1000 : null;
    this.records.set(this.#key(id), { model: this.model, payload, expiresAt });
    this.save();
  }

  async find(id) {
    return this.#payload(this.records.get(this.#key(id)));
  }

  async findByUid(uid) {
    return this.#first((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.#first((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    this.records.get(this.#key(id)).payload.consumed = Math.floor(Date.now() / 1000);
    this.save();
  }

  async destroy(id) {
    this.records.delete(this.#key(id));
    this.save();
  }

  /** Everything that was given out under this consent dies with it; the consent itself is a record of its own. */
  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of this.records) {
      if (payload.grantId === grantId) {
        this.records.delete(key);
      }
    }
    this.save();
  }

  #key(id) {
    return `${this.model}:${id}`;
  }

  #first(matches) {
    for (const record of this.records.values()) {
      if (record.model === this.model && matches(record.payload)) {
        return this.#payload(record);
      }
    }
    return undefined;
  }

  #payload(record) {
    return record && !isExpired(record) ? record.payload : undefined;
  }
}

function isExpired({ expiresAt }) {
  return expiresAt !== null && expiresAt <= Date.now();
}

function forgetExpired(records) {
  for (const [key, record] of records) {
    if (isExpired(record)) {
      records.delete(key);
    }
  }
}

/**
 * By way of its text: node holds a lock of the key while it exports it, and where it collects the job that made this very key
 * meanwhile, the job waits for that lock, for ever.
 */
function newSigningKey() {
  const { privateKey: text } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const key = createPrivateKey(text).export({ format: 'jwk' });
  return { ...key, kid: randomBytes(8).toString('hex'), alg: 'RS256', use: 'sig' };
}
