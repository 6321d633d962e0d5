// Creates a replica set of three, and the user of the service: mongosh -u root -p --host db1.internal replica-set.js
// Before that, start each server with --replSet hushbox --keyFile FILE --bind_ip_all, all with the same key file.
/* global rs, sleep, db, passwordPrompt */
rs.initiate({
  _id: 'hushbox',
  members: [
    { _id: 0, host: 'db1.internal:27017' },
    { _id: 1, host: 'db2.internal:27017' },
    { _id: 2, host: 'db3.internal:27017' },
  ],
});
while (!db.hello().isWritablePrimary) sleep(500);
db.getSiblingDB('hushbox').createUser({
  user: 'hushbox',
  pwd: passwordPrompt(),
  roles: [{ role: 'readWrite', db: 'hushbox' }],
});
