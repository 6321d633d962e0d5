// Creates a replica set of three, and the user of the service. Before that, start each server with --replSet hushbox
// --keyFile FILE --bind_ip_all and TLS, all with the same key file. Run it once, as a user who may initiate the set and
// create users: mongosh --tls -u root -p --host db1.internal replica-set.js
// A server that was started from empty has no such user. It allows two things only, from localhost: to initiate the set,
// and to create the first user. Do both as MongoDB's manual says, then run this file without rs.initiate(), at the primary.
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
