/** Says loudly that a yes gives access to everybody in an IAM group (threats RQ-20). */
import { IconUsersGroup } from '@tabler/icons-react';
import { type GroupReach, groupReachWords, groupWarning } from '../../shared/group-reach.ts';
import { Note } from '../look/pieces.tsx';
import { seen } from '../look/words.ts';

const namesOf = ({ names, members }: GroupReach): string => {
  const more = members - names.length;
  return `${names.map(seen).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};

export const WiderNote = ({ wider }: { wider: readonly GroupReach[] }) => (
  <>
    {wider.map((reach) => (
      <Note
        key={reach.accountId}
        tone="no"
        icon={IconUsersGroup}
        title={groupReachWords({ ...reach, group: seen(reach.group), accountName: seen(reach.accountName) })}
        role="status"
      >
        {reach.members > 0 && `Now: ${namesOf(reach)}. `}
        {groupWarning}
      </Note>
    ))}
  </>
);
