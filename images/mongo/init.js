// The password stays in the environment: an argument would show in the process list.
db.getSiblingDB('admin').createUser({
  user: process.env.MONGO_INITDB_ROOT_USERNAME,
  pwd: process.env.MONGO_INITDB_ROOT_PASSWORD,
  roles: [{role: 'root', db: 'admin'}],
});
