// Shards the collections; run it before the first start of the service: mongosh -u root -p --host router.internal sharded.js
// Before that, add the shards with sh.addShard(), and create the user as in replica-set.js, at a router.
/* global sh */
sh.shardCollection('hushbox.secrets', { _id: 'hashed' });
sh.shardCollection('hushbox.clients', { _id: 'hashed' });
